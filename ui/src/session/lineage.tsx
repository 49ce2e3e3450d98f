/** Which step used what which other step made: the steps in a column, their uses as arcs. */

import * as React from "react";

import type { Api } from "../api";
import { Message } from "../pieces";
import type { Graph, GraphEdge } from "../types";
import { count, OUTCOMES } from "../words";
import { useAnswer } from "./hooks";

const ROW = 30;
/** Pixels that the widest arc may take. */
const WIDEST = 150;

export function LineageView(props: { api: Api; session: string; last: number }): React.JSX.Element {
  const { value, error } = useAnswer(
    () => props.api.graph(props.session),
    [props.session, props.last]
  );
  if (error) {
    return <Message title="The lineage cannot be told" role="alert" children={<p>{error}</p>} />;
  }
  if (value === null) {
    return <Message title="…" />;
  }
  return value.steps.length ? <Arcs graph={value} /> : <Message title="No steps yet" />;
}

function Arcs(props: { graph: Graph }): React.JSX.Element {
  const { graph } = props;
  const [chosen, setChosen] = React.useState<number | null>(null);
  const rows = React.useMemo(
    () => new Map(graph.steps.map((step, index) => [step.step, index])),
    [graph]
  );
  const left = React.useMemo(
    () =>
      Math.max(
        ...graph.edges.map(edge => bow(rows.get(edge.source) ?? 0, rows.get(edge.target) ?? 0)),
        0
      ) *
        0.75 +
      24,
    [graph, rows]
  );
  const needs = React.useMemo(
    () => closure(graph.edges, chosen, "target", "source"),
    [graph, chosen]
  );
  const uses = React.useMemo(
    () => closure(graph.edges, chosen, "source", "target"),
    [graph, chosen]
  );
  const mark = (step: number): string => {
    if (chosen === null) {
      return "";
    }
    if (step === chosen) {
      return "ips-mod-chosen";
    }
    if (needs.has(step)) {
      return "ips-mod-needed";
    }
    return uses.has(step) ? "ips-mod-using" : "ips-mod-dim";
  };
  const choose = (step: number): void => setChosen(step === chosen ? null : step);
  return (
    <div className="ips-Tab">
      <p className="ips-Filter" role="status">
        {chosen === null
          ? "Choose a step to see what it needs and what rests on it."
          : `Step ${chosen} needs ${count(needs.size, "step")}; ${count(uses.size, "step")} ` +
            `${uses.size === 1 ? "rests" : "rest"} on it.`}
      </p>
      <div className="ips-Scroll ips-Lineage" tabIndex={0} role="region" aria-label="Lineage">
        <svg
          width={left}
          height={graph.steps.length * ROW}
          aria-hidden="true"
          className="ips-Lineage-arcs"
        >
          {graph.edges.map((edge, index) => (
            <Arc
              key={index}
              edge={edge}
              x={left - 14}
              from={rows.get(edge.source)}
              to={rows.get(edge.target)}
              isNeed={chosen !== null && (edge.target === chosen || needs.has(edge.target))}
              isUse={chosen !== null && (edge.source === chosen || uses.has(edge.source))}
              isDim={chosen !== null}
            />
          ))}
          {graph.steps.map((step, index) => (
            <circle
              key={step.step}
              cx={left - 8}
              cy={index * ROW + ROW / 2}
              r={5}
              className={`ips-Node ips-mod-${step.outcome} ${mark(step.step)}`}
            />
          ))}
        </svg>
        <ol className="ips-Lineage-steps">
          {graph.steps.map(step => (
            <li key={step.step} style={{ height: ROW }} className={mark(step.step)}>
              <button
                type="button"
                aria-pressed={step.step === chosen}
                aria-label={
                  `Step ${step.step}, ${OUTCOMES[step.outcome]}: ${step.title}` +
                  (step.stale ? ", out of date" : "")
                }
                onClick={() => choose(step.step)}
              >
                <span className="ips-Step-number">{step.step}</span>
                <code>{step.title}</code>
                {step.stale && <span className="ips-Tag">out of date</span>}
                <span className="ips-Lineage-names">{step.binds.join(", ")}</span>
              </button>
            </li>
          ))}
        </ol>
      </div>
    </div>
  );
}

function Arc(props: {
  edge: GraphEdge;
  x: number;
  from: number | undefined;
  to: number | undefined;
  isNeed: boolean;
  isUse: boolean;
  isDim: boolean;
}): React.JSX.Element | null {
  const { edge, from, to } = props;
  if (from === undefined || to === undefined) {
    return null;
  }
  const { x } = props;
  const y1 = from * ROW + ROW / 2;
  const y2 = to * ROW + ROW / 2;
  const out = x - bow(from, to);
  const state = props.isNeed ? "needed" : props.isUse ? "using" : props.isDim ? "dim" : "plain";
  return (
    <path
      d={`M${x},${y1} C${out},${y1} ${out},${y2} ${x},${y2}`}
      className={`ips-Arc ips-mod-${state} ips-mod-${edge.kind === "name" ? "name" : "other"}`}
    >
      <title>{edge.names.join(", ")}</title>
    </path>
  );
}

/** How far the arc between two rows bends, in pixels. */
function bow(from: number, to: number): number {
  return Math.min(WIDEST, 14 + Math.sqrt(Math.abs(to - from)) * 18);
}

/** All steps that are reached from `start` along the edges, without itself. */
function closure(
  edges: readonly GraphEdge[],
  start: number | null,
  from: "source" | "target",
  to: "source" | "target"
): ReadonlySet<number> {
  const reached = new Set<number>();
  if (start === null) {
    return reached;
  }
  const next = new Map<number, number[]>();
  for (const edge of edges) {
    next.set(edge[from], [...(next.get(edge[from]) ?? []), edge[to]]);
  }
  const waiting = [start];
  for (let step = waiting.pop(); step !== undefined; step = waiting.pop()) {
    for (const other of next.get(step) ?? []) {
      if (other !== start && !reached.has(other)) {
        reached.add(other);
        waiting.push(other);
      }
    }
  }
  return reached;
}
