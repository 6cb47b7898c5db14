// The state of the live link, the server's clock as known here, and short notes to the viewer.
export type LinkState = 'live' | 'connecting' | 'lost';
export interface Note {
  id: number;
  text: string;
  tone: 'plain' | 'good' | 'bad';
  href?: string | undefined;
}

const NOTE_MS = 8_000;
const MAX_NOTES = 3;
const state = $state<{ link: LinkState; reached: boolean; now: number; notes: Note[] }>({
  link: 'connecting',
  reached: true,
  now: Date.now(),
  notes: [],
});
let base = { server: Date.now(), here: Date.now(), speed: 1 };
let lastNote = 0;

export const live = {
  get link(): LinkState {
    // An event stream notices a cut line late; a request that found no server knows it at once.
    return state.reached ? state.link : 'lost';
  },
  /** Server time in ms, moved on every few seconds. */
  get now(): number {
    return state.now;
  },
  get notes(): Note[] {
    return state.notes;
  },
};
export function setReached(reached: boolean): void {
  state.reached = reached;
}
export function setLink(link: LinkState): void {
  state.link = link;
}
/** The server said what time it is; a demo's clock runs `speed` times as fast as ours. */
export function serverTime(text: string | undefined, speed = base.speed): void {
  const server = Date.parse(text ?? '');
  if (Number.isNaN(server)) return;
  base = { server, here: Date.now(), speed };
  tick();
}
export function tick(): void {
  state.now = base.server + (Date.now() - base.here) * base.speed;
}
export function note(text: string, tone: Note['tone'] = 'plain', href?: string): void {
  lastNote += 1;
  const id = lastNote;
  state.notes = [...state.notes, { id, text, tone, href }].slice(-MAX_NOTES);
  setTimeout(() => dismiss(id), NOTE_MS);
}
export function dismiss(id: number): void {
  state.notes = state.notes.filter((one) => one.id !== id);
}
