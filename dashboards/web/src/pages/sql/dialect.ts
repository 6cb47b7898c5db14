// What the editor knows of SQL: the words that people use here, and the tables there are.
import { closeCompletion } from '@codemirror/autocomplete';
import { sql, SQLDialect } from '@codemirror/lang-sql';
import type { EditorView } from '@codemirror/view';
import type { TableInfo } from '../../api/schema';

/** Only these are offered and coloured: the reserved words of PostgreSQL are hundreds that nobody wants. */
export const dialect = SQLDialect.define({
  operatorChars: '+-*/<>=~!@#%^&|',
  keywords:
    'all and any array as asc between by case cast cross current desc describe distinct else end escape except ' +
    'exists explain extract filter first following from full group having ilike in inner intersect interval is join ' +
    'last lateral left like limit natural not null nulls offset on or order outer over partition preceding range ' +
    'recursive right row rows select show similar some tables then to try_cast unbounded union unnest using values ' +
    'when where window with within',
  types:
    'bigint boolean char date decimal double float int integer numeric real smallint text time timestamp ' +
    'timestamptz varchar',
  builtin:
    'abs approx_distinct array_agg avg ceil coalesce concat count current_date date_bin date_part date_trunc ' +
    'dense_rank first_value floor greatest lag last_value lead least length local_date lower max median min now ' +
    'nullif rank regexp_like replace round row_number split_part stddev string_agg substr sum to_timestamp trim upper',
});

export function complete(tables: TableInfo[]): ReturnType<typeof sql> {
  const schema: Record<string, Record<string, string[]>> = {};
  for (const table of tables)
    (schema[table.zone] ??= {})[table.name] = table.columns.map((column) => column.name);
  return sql({ dialect, schema, upperCaseKeywords: false });
}
/** Ends what is offered, and what is still being looked up: it would open over the answer. */
export const quiet = (view: EditorView): boolean => closeCompletion(view);
