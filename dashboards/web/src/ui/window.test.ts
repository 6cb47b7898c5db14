import { expect, it } from 'vitest';
import { MAX_PIXELS, windowOf } from './window';

it('draws what is on screen and a little more', () => {
  const { first, count, offset } = windowOf(100_000, 28, 280, 28 * 500);
  expect(first).toBe(494);
  expect(count).toBeLessThan(30);
  expect(offset).toBe(494 * 28);
});
it('never draws rows that do not exist', () => {
  expect(windowOf(3, 28, 280, 0)).toMatchObject({ first: 0, count: 3, height: 84 });
  expect(windowOf(0, 28, 280, 0).count).toBe(0);
});
it('reaches the last row of a list that is too tall for a browser', () => {
  const rows = 5_000_000;
  const end = windowOf(rows, 28, 280, MAX_PIXELS - 280);
  expect(end.height).toBe(MAX_PIXELS);
  expect(end.first + end.count).toBe(rows);
  expect(windowOf(rows, 28, 280, 0).first).toBe(0);
});
