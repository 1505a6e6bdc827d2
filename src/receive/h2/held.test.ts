import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { Held, turnMs } from './held.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

it('waits for what releases it, and not much longer than a turn where nothing does', () => {
  const late = vi.fn();
  const [released, forgotten] = [new Held(() => late('released')), new Held(() => late('forgotten'))];
  released.hold();
  forgotten.hold();
  vi.advanceTimersByTime(turnMs);
  expect(late).not.toHaveBeenCalled();
  released.release();
  vi.advanceTimersByTime(turnMs);
  expect(late.mock.calls).toEqual([['forgotten']]);
  vi.advanceTimersByTime(10 * turnMs);
  expect(late).toHaveBeenCalledOnce();
  expect(vi.getTimerCount()).toBe(0);
});

it('waits its own time, however often it was held and released before', () => {
  const late = vi.fn();
  const held = new Held(late);
  for (let times = 0; times < 50; times++) {
    held.hold();
    vi.advanceTimersByTime(turnMs - 1);
    held.release();
    vi.advanceTimersByTime(1);
  }
  held.hold();
  vi.advanceTimersByTime(turnMs - 1);
  expect(late).not.toHaveBeenCalled();
  vi.advanceTimersByTime(turnMs + 1);
  expect(late).toHaveBeenCalledOnce();
});

it('may hold again from what is called', () => {
  const late = vi.fn(() => {
    if (late.mock.calls.length < 3) held.hold();
  });
  const held = new Held(late);
  held.hold();
  vi.advanceTimersByTime(10 * turnMs);
  expect(late).toHaveBeenCalledTimes(3);
});
