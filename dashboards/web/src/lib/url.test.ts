import { expect, it } from 'vitest';
import { decode, EMPTY_VIEW, encode, toggle, withFilter, type View } from './url';

const round = (view: View): View => decode(encode(view));
it('survives the round trip', () => {
  const view: View = {
    range: '2026-01-01..2026-02-01',
    compare: 'last_year',
    grain: 'week',
    filters: { department: ['财务部', 'R&D, East', 'back\\slash', 'a=b?c#d'], region: ['华东'] },
  };
  expect(round(view)).toEqual(view);
  expect(round(EMPTY_VIEW)).toEqual(EMPTY_VIEW);
});
it('is short and readable', () => {
  expect(encode({ ...EMPTY_VIEW, range: 'now/M', filters: { region: ['east', 'west'] } })).toBe(
    '?range=now/M&f.region=east,west',
  );
  expect(encode(EMPTY_VIEW)).toBe('');
});
it('is the same for the same state', () => {
  expect(encode({ ...EMPTY_VIEW, filters: { b: ['1'], a: ['2'] } })).toBe(
    encode({ ...EMPTY_VIEW, filters: { a: ['2'], b: ['1'] } }),
  );
});
it('ignores what it does not know', () => {
  expect(decode('?range=rubbish&compare=maybe&grain=aeon&f.=x&utm=1')).toEqual(EMPTY_VIEW);
});
it('switches filter values on and off', () => {
  const on = toggle(EMPTY_VIEW, 'region', 'east');
  expect(on.filters).toEqual({ region: ['east'] });
  expect(toggle(on, 'region', 'east').filters).toEqual({});
  expect(withFilter(on, 'region', ['west']).filters).toEqual({ region: ['west'] });
});
