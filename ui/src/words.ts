/** Numbers and times in the words that `%session` uses too. */

import type { Outcome, SessionState } from "./types";

export function duration(seconds: number | null | undefined): string {
  if (seconds === null || seconds === undefined) {
    return "";
  }
  if (seconds < 0.0995) {
    return `${Math.max(1, Math.round(seconds * 1000))} ms`;
  }
  if (seconds < 9.95) {
    return `${seconds.toFixed(1)} s`;
  }
  if (seconds < 100) {
    return `${Math.round(seconds)} s`;
  }
  if (seconds < 5940) {
    return `${Math.round(seconds / 60)} min`;
  }
  return `${(seconds / 3600).toFixed(1)} h`;
}

export function bytes(size: number | null | undefined): string {
  if (size === null || size === undefined) {
    return "";
  }
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  let value = size;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

export function ago(time: string, now: number = Date.now()): string {
  const seconds = Math.max(0, (now - Date.parse(time)) / 1000);
  const steps: [number, number, string][] = [
    [90, 1, "second"],
    [5400, 60, "minute"],
    [129600, 3600, "hour"],
    [1209600, 86400, "day"],
    [5184000, 604800, "week"],
    [63072000, 2629800, "month"],
    [Infinity, 31557600, "year"]
  ];
  if (seconds < 10) {
    return "just now";
  }
  for (const [below, size, word] of steps) {
    if (seconds < below) {
      return `${count(Math.round(seconds / size), word)} ago`;
    }
  }
  return "";
}

/** The same for a narrow column: 5 min, 3 h, 2 d. */
export function agoShort(time: string, now: number = Date.now()): string {
  const seconds = Math.max(0, (now - Date.parse(time)) / 1000);
  const units: [number, string][] = [
    [31557600, "y"],
    [604800, "w"],
    [86400, "d"],
    [3600, "h"],
    [60, "min"]
  ];
  for (const [size, unit] of units) {
    if (seconds >= size) {
      return `${Math.round(seconds / size)} ${unit} ago`;
    }
  }
  return "just now";
}

export function count(number: number, word: string): string {
  return `${number.toLocaleString("en")} ${word}${number === 1 ? "" : "s"}`;
}

export function moment(time: string): string {
  return new Date(time).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });
}

/** What the badge of a state says. */
export const STATES: Record<SessionState, string> = {
  created: "new",
  running: "running",
  paused: "paused",
  interrupted: "kernel died",
  completed: "completed",
  failed: "failed"
};

/** What each outcome of a step means, for those who cannot see its colour. */
export const OUTCOMES: Record<Outcome, string> = {
  running: "running",
  ok: "ok",
  error: "failed",
  interrupted: "interrupted",
  died: "the kernel died here"
};
