import { expect, it } from 'vitest';
import type { Metric } from '../../api/schema';
import { labelled } from './labels';

it('titles labels and values that a metric knows, and keeps the others', () => {
  const process = {
    name: 'process',
    title: { zh: '流程', en: 'Process' },
    titles: { expense: { zh: '报销', en: 'Expense' } },
  };
  const metrics = [{ dimensions: [process] }] as unknown as Metric[];
  const [known, other] = labelled({ process: 'expense', team: 'ops' }, metrics);
  expect(known).toMatchObject({ title: { en: 'Process' }, value: { en: 'Expense' } });
  expect(other).toEqual({ key: 'team', text: 'ops', title: null, value: null });
});
