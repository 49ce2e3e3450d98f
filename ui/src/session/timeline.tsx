/** The steps of a session, in order. Only those in sight are in the page. */

import { useVirtualizer } from "@tanstack/react-virtual";
import * as React from "react";

import { Code } from "../code";
import { Outputs } from "../output";
import { Message } from "../pieces";
import type { Step } from "../types";
import { count, duration, moment, OUTCOMES } from "../words";
import { useAnswer } from "./hooks";
import type { Steps } from "./steps";

/** A step's outputs are asked for when it stays in sight so long. Milliseconds. */
const SEEN = 80;

export interface TimelineProps {
  steps: Steps;
  /** The notes, by the step that they follow. */
  notes: ReadonlyMap<number, readonly string[]>;
  onVariables: (step: number) => void;
}

export function Timeline(props: TimelineProps): React.JSX.Element {
  const { steps } = props;
  const [text, setText] = React.useState("");
  const [onlyFailed, setOnlyFailed] = React.useState(false);
  const shown = React.useMemo(() => {
    const wanted = text.trim().toLowerCase();
    return steps.steps.filter(
      step =>
        (!wanted || step.source.toLowerCase().includes(wanted)) &&
        (!onlyFailed || !["ok", "running"].includes(step.outcome))
    );
  }, [steps.steps, text, onlyFailed]);
  // A resume's replays are steps of the log, but not of the user's: `session.steps` leaves them out.
  const replays = React.useMemo(
    () => steps.steps.filter(step => step.replay_of).length,
    [steps.steps]
  );
  const all =
    count(steps.total - replays, "step") + (replays ? ` and ${count(replays, "replay")}` : "");
  const place = React.useRef<HTMLDivElement>(null);
  const rows = useVirtualizer({
    count: shown.length,
    getScrollElement: () => place.current,
    getItemKey: index => shown[index]?.number ?? index,
    estimateSize: index => estimate(shown[index]),
    overscan: 5
  });
  return (
    <div className="ips-Timeline">
      <div className="ips-Filter" role="search">
        <input
          type="search"
          className="jp-mod-styled"
          placeholder="Find in the steps"
          aria-label="Find in the steps"
          value={text}
          onChange={event => setText(event.currentTarget.value)}
        />
        <label>
          <input
            type="checkbox"
            checked={onlyFailed}
            onChange={event => setOnlyFailed(event.currentTarget.checked)}
          />
          Failures only
        </label>
        <span className="ips-Filter-count" role="status">
          {shown.length === steps.total ? all : `${shown.length.toLocaleString("en")} of ${all}`}
        </span>
      </div>
      {steps.error && (
        <div className="ips-Notice" role="alert">
          {steps.error}
        </div>
      )}
      {steps.isLoaded && !steps.error && shown.length === 0 && (
        <Message title={steps.total ? "No step matches" : "Nothing has run in it yet"} />
      )}
      <div
        className="ips-Timeline-scroll"
        ref={place}
        role="feed"
        aria-label="Steps"
        aria-busy={!steps.isLoaded}
        tabIndex={0}
      >
        <div className="ips-Timeline-all" style={{ height: rows.getTotalSize() }}>
          {rows.getVirtualItems().map(row => {
            const step = shown[row.index];
            return (
              step && (
                <div
                  key={row.key}
                  data-index={row.index}
                  ref={rows.measureElement}
                  className="ips-Timeline-row"
                  style={{ transform: `translateY(${row.start}px)` }}
                >
                  <StepView step={step} position={row.index + 1} of={shown.length} {...props} />
                </div>
              )
            );
          })}
        </div>
      </div>
    </div>
  );
}

/** About how high a step will be, in pixels; it is measured when it is there. */
function estimate(step: Step | undefined): number {
  if (step === undefined) {
    return 80;
  }
  const lines = Math.min(step.source.split("\n").length, 24);
  return 58 + lines * 17 + (step.output_count ? 60 : 0);
}

function StepView(
  props: TimelineProps & { step: Step; position: number; of: number }
): React.JSX.Element {
  const { step, steps, notes, position, of } = props;
  const facts = [
    duration(step.duration),
    moment(step.started),
    step.replay_of ? `replay of step ${step.replay_of}` : ""
  ];
  return (
    <article
      className={`ips-Step ips-mod-${step.outcome} ${step.on_branch === false ? "ips-mod-aside" : ""}`}
      aria-label={`Step ${step.number}, ${OUTCOMES[step.outcome]}`}
      aria-posinset={position}
      aria-setsize={of}
      data-step={step.number}
    >
      <header className="ips-Step-head">
        <span className="ips-Step-number">{step.number}</span>
        <span className={`ips-Outcome ips-mod-${step.outcome}`}>{OUTCOMES[step.outcome]}</span>
        {step.on_branch === false && <span className="ips-Step-aside">another branch</span>}
        <span className="ips-Step-facts">{facts.filter(Boolean).join(" · ")}</span>
        <button
          type="button"
          className="ips-Link"
          onClick={() => props.onVariables(step.number)}
          aria-label={`Variables after step ${step.number}`}
        >
          Variables
        </button>
      </header>
      <Code source={step.source} />
      {step.output_count > 0 && <SeenOutputs step={step} steps={steps} />}
      {(notes.get(step.number) ?? []).map((note, index) => (
        <p className="ips-Note" key={index}>
          {note}
        </p>
      ))}
    </article>
  );
}

function SeenOutputs(props: { step: Step; steps: Steps }): React.JSX.Element {
  const { step, steps } = props;
  const { value, error } = useAnswer(() => steps.whole(step.number), [step, steps], SEEN);
  if (error) {
    return <div className="ips-Notice">{error}</div>;
  }
  if (value === null) {
    return <div className="ips-Waiting">{count(step.output_count, "output")} …</div>;
  }
  return <Outputs outputs={value.outputs ?? []} />;
}
