// Which rows of a long list are on screen. Browsers limit how tall an element may be (Firefox 17.8 M px), so a very
// long list scrolls in proportion instead of pixel by pixel.
export const MAX_PIXELS = 12_000_000;

export interface Window {
  first: number;
  count: number;
  /** Height of the scrolled space, and how far down the first drawn row stands in it. */
  height: number;
  offset: number;
}
const SPARE = 6;
export function windowOf(rows: number, rowHeight: number, viewport: number, scrollTop: number): Window {
  const full = rows * rowHeight;
  const height = Math.min(full, MAX_PIXELS);
  const visible = Math.ceil(viewport / rowHeight) + 1;
  if (full <= MAX_PIXELS) {
    const first = Math.max(0, Math.floor(scrollTop / rowHeight) - SPARE);
    return { first, count: Math.min(rows - first, visible + 2 * SPARE), height, offset: first * rowHeight };
  }
  const share = Math.min(1, Math.max(0, scrollTop / (height - viewport)));
  const first = Math.min(rows - visible + 1, Math.round(share * (rows - visible + 1)));
  return {
    first,
    count: Math.min(rows - first, visible),
    height,
    offset: Math.min(scrollTop, height - visible * rowHeight),
  };
}
