import { expect, it } from 'vitest';
import type { ProjectProblem } from '../../api/schema';
import { unserved } from './broken';

const problem = (file: string, more: Partial<ProjectProblem> = {}): ProjectProblem => ({
  file,
  line: 3,
  column: 1,
  message: 'no metric orders_cuont',
  hint: null,
  severity: 'error',
  ...more,
});
it('names each page that cannot be shown once, with the first reason', () => {
  const entries = [{ name: 'sales', title: { zh: '销售', en: 'Sales' } }];
  const found = unserved(entries, [
    problem('dashboards/finance.yaml', { message: 'first' }),
    problem('dashboards/finance.yaml', { message: 'second' }),
    problem('dashboards/sales.yaml'),
    problem('dashboards/draft.yaml', { severity: 'warning' }),
    problem('rules/finance.yaml'),
  ]);
  expect(found.map((one) => [one.name, one.problem.message])).toEqual([['finance', 'first']]);
});
