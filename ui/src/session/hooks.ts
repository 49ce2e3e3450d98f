/** Waiting for the server inside a component. */

import * as React from "react";

import { textOf } from "../api";

export interface Awaited<T> {
  value: T | null;
  error: string;
}

/**
 * What `ask` resolves to; asked again when one of `on` changes. The last answer stays meanwhile.
 * Where `delay` is given, in milliseconds, nothing is asked for what is gone again by then.
 */
export function useAnswer<T>(
  ask: () => Promise<T>,
  on: React.DependencyList,
  delay = 0
): Awaited<T> {
  const [answer, setAnswer] = React.useState<Awaited<T>>({ value: null, error: "" });
  React.useEffect(() => {
    let isWanted = true;
    const begin = (): void => {
      ask().then(
        value => isWanted && setAnswer({ value, error: "" }),
        error => isWanted && setAnswer({ value: null, error: textOf(error) })
      );
    };
    const timer = delay ? setTimeout(begin, delay) : void begin();
    return () => {
      isWanted = false;
      clearTimeout(timer);
    };
  }, on);
  return answer;
}
