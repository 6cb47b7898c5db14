// A sparkline as SVG path data in a 100 × 24 box. A gap in the data is a gap in the line.
import type { SparkPoint } from '../api/schema';

const WIDE = 100;
const HIGH = 24;
const EDGE = 2;

export interface Spark {
  whole: string;
  /** The last, unfinished stretch, drawn dashed. */
  tail: string;
  area: string;
}
export function sparkPath(points: SparkPoint[]): Spark {
  const known = points.map((p) => p.v).filter((v): v is number => v !== null);
  if (known.length < 2) return { whole: '', tail: '', area: '' };
  const low = Math.min(...known);
  const span = Math.max(...known) - low || 1;
  const x = (i: number): number => round((i / (points.length - 1)) * WIDE);
  const y = (v: number): number => round(HIGH - EDGE - ((v - low) / span) * (HIGH - 2 * EDGE));
  let whole = '';
  let tail = '';
  let area = '';
  let pen: { i: number; v: number } | null = null;
  let first = 0;
  const close = (): void => {
    if (pen && area && !area.endsWith('Z')) area += `L${x(pen.i)} ${HIGH}L${x(first)} ${HIGH}Z`;
  };
  points.forEach((point, i) => {
    if (point.v === null) {
      close();
      pen = null;
      return;
    }
    const here = `${x(i)} ${y(point.v)}`;
    if (point.p && pen) tail += `M${x(pen.i)} ${y(pen.v)}L${here}`;
    else {
      whole += pen ? `L${here}` : `M${here}`;
      area += pen ? `L${here}` : `M${here}`;
      if (!pen) first = i;
    }
    if (point.p) return;
    pen = { i, v: point.v };
  });
  close();
  return { whole, tail, area };
}
const round = (n: number): number => Math.round(n * 10) / 10;
