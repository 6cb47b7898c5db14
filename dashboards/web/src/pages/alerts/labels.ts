// Labels of an alert with their titles: those that are dimensions of a metric have some.
import type { Metric, Title } from '../../api/schema';

export interface Labelled {
  key: string;
  text: string;
  title: Title | null;
  /** What the value is called. */
  value: Title | null;
}
export function labelled(labels: Record<string, string>, metrics: Metric[]): Labelled[] {
  const dimensions = metrics.flatMap((metric) => metric.dimensions);
  return Object.entries(labels).map(([key, text]) => {
    const alike = dimensions.filter((one) => one.name === key);
    return {
      key,
      text,
      title: alike[0]?.title ?? null,
      value: alike.find((one) => one.titles?.[text])?.titles?.[text] ?? null,
    };
  });
}
