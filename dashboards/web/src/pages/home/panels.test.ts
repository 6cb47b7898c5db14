import { expect, it } from 'vitest';
import { panelsFor } from './panels';

it('sends an executive to the cockpit', () => {
  expect(panelsFor(['executive'], () => true)).toBe('dashboard');
});
it('starts operations with what is on fire and analysts with their queries', () => {
  expect(panelsFor(['ops'], () => true)[0]).toBe('alerts');
  expect(panelsFor(['analyst'], () => true)[0]).toBe('queries');
});
it('shows no panel that would be refused', () => {
  expect(panelsFor(['ops'], (what) => what !== 'ReadSources')).not.toContain('sources');
});
