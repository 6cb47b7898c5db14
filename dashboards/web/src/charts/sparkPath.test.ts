import { expect, it } from 'vitest';
import { sparkPath } from './sparkPath';

const at = (v: number | null, p = false): { t: string; v: number | null; p: boolean } => ({ t: '', v, p });
it('fills the box from lowest to highest', () => {
  expect(sparkPath([at(0), at(10)]).whole).toBe('M0 22L100 2');
});
it('breaks at a gap', () => {
  expect(sparkPath([at(0), at(null), at(5), at(10)]).whole.match(/M/g)).toHaveLength(2);
});
it('keeps the unfinished stretch apart', () => {
  const { whole, tail } = sparkPath([at(0), at(10), at(4, true)]);
  expect(whole).not.toContain('100 ');
  expect(tail).toBe('M50 2L100 14');
});
it('draws nothing from one point', () => {
  expect(sparkPath([at(3)])).toEqual({ whole: '', tail: '', area: '' });
});
