// Colour belongs to the dimension value: the same value has the same colour on every chart of a page.
export const LIGHT = ['#5687e4', '#a94734', '#41a293', '#b08a00', '#4447b1', '#28778c', '#612162', '#682a00'];
export const DARK = ['#49aaf9', '#f87a61', '#29bdb2', '#dbcf59', '#5f71e8', '#79e2fd', '#a04ea0', '#c15114'];

/** Gives out places on the palette in order of first sight and remembers them. */
export class Palette {
  private readonly places = new Map<string, number>();
  place(key: string): number {
    let at = this.places.get(key);
    if (at === undefined) this.places.set(key, (at = this.places.size % LIGHT.length));
    return at;
  }
  colour(key: string, dark: boolean): string {
    return (dark ? DARK : LIGHT)[this.place(key)] ?? LIGHT[0] ?? '#5687e4';
  }
}
export const firstColour = (dark: boolean): string => (dark ? DARK : LIGHT)[0] ?? '#5687e4';
export interface ChartInk {
  dark: boolean;
  ink: string;
  muted: string;
  line: string;
  card: string;
  accent: string;
  bad: string;
  /** As the page has it: a chart measures its labels before it draws them. */
  font: string;
}
/** The tokens of app.css that a chart needs as plain values. */
export function chartInk(dark: boolean): ChartInk {
  const font = typeof document === 'undefined' ? 'sans-serif' : getComputedStyle(document.body).fontFamily;
  return dark
    ? {
        dark,
        font,
        ink: '#e7eaee',
        muted: '#9aa5b1',
        line: '#2a313a',
        card: '#171b21',
        accent: '#7db0ff',
        bad: '#ff8a80',
      }
    : {
        dark,
        font,
        ink: '#1b2129',
        muted: '#5b6572',
        line: '#dde2e8',
        card: '#ffffff',
        accent: '#1d5fc4',
        bad: '#c0362c',
      };
}
