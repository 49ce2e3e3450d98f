/** Waiting for the server inside a component. */

import * as React from "react";

import { textOf } from "../api";

export interface Awaited<T> {
  value: T | null;
  error: string;
}

/** What `ask` resolves to; asked again when one of `on` changes. The last answer stays meanwhile. */
export function useAnswer<T>(ask: () => Promise<T>, on: React.DependencyList): Awaited<T> {
  const [answer, setAnswer] = React.useState<Awaited<T>>({ value: null, error: "" });
  React.useEffect(() => {
    let isWanted = true;
    ask().then(
      value => isWanted && setAnswer({ value, error: "" }),
      error => isWanted && setAnswer({ value: null, error: textOf(error) })
    );
    return () => {
      isWanted = false;
    };
  }, on);
  return answer;
}
