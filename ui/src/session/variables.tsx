/** The variables as they stood after a step. */

import * as React from "react";

import type { Api } from "../api";
import { Message } from "../pieces";
import { bytes } from "../words";
import { useAnswer } from "./hooks";

export interface VariablesProps {
  api: Api;
  session: string;
  /** After which step; null: the newest. */
  step: number | null;
  last: number;
  onStep: (step: number | null) => void;
}

export function VariablesView(props: VariablesProps): React.JSX.Element {
  const { api, session, step, last } = props;
  const { value, error } = useAnswer(() => api.variables(session, step), [session, step, last]);
  const [text, setText] = React.useState("");
  const wanted = text.trim().toLowerCase();
  const shown = (value?.variables ?? []).filter(variable =>
    `${variable.name} ${variable.type}`.toLowerCase().includes(wanted)
  );
  return (
    <div className="ips-Tab">
      <div className="ips-Filter">
        <label>
          After step{" "}
          <input
            type="number"
            className="jp-mod-styled ips-Number"
            min={1}
            max={Math.max(1, last)}
            value={step ?? last}
            onChange={event => {
              const number = event.currentTarget.valueAsNumber;
              props.onStep(number >= 1 && number < last ? number : null);
            }}
          />
        </label>
        <input
          type="search"
          className="jp-mod-styled"
          placeholder="Find a variable"
          aria-label="Find a variable"
          value={text}
          onChange={event => setText(event.currentTarget.value)}
        />
      </div>
      {error && (
        <div className="ips-Notice" role="alert">
          {error}
        </div>
      )}
      {value && shown.length === 0 && <Message title="No variables" />}
      {shown.length > 0 && (
        <div className="ips-Scroll" tabIndex={0} role="region" aria-label="Variables">
          <table className="ips-Table">
            <thead>
              <tr>
                <th scope="col">Name</th>
                <th scope="col">Type</th>
                <th scope="col">Shape</th>
                <th scope="col">Size</th>
                <th scope="col">From step</th>
                <th scope="col">Value</th>
              </tr>
            </thead>
            <tbody>
              {shown.map(variable => (
                <tr key={variable.name}>
                  <th scope="row">{variable.name}</th>
                  <td>{variable.type}</td>
                  <td>{variable.shape?.join(" × ")}</td>
                  <td className="ips-mod-number">{bytes(variable.bytes)}</td>
                  <td className="ips-mod-number">{variable.step}</td>
                  <td className="ips-Preview">
                    {variable.saved ? (
                      variable.preview
                    ) : (
                      <em>not saved{variable.reason ? `: ${variable.reason}` : ""}</em>
                    )}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </div>
  );
}
