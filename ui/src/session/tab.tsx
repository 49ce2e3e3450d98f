/** One session in the main area: its facts, what can be done with it, and its views. */

import type { IEditorLanguageRegistry } from "@jupyterlab/codemirror";
import { historyIcon, ReactWidget, UseSignal } from "@jupyterlab/ui-components";
import type { CommandRegistry } from "@lumino/commands";
import { Signal } from "@lumino/signaling";
import type { Message as WidgetMessage } from "@lumino/messaging";
import * as React from "react";

import { textOf, type Api } from "../api";
import { Languages } from "../code";
import type { Events } from "../events";
import { Commands } from "../ids";
import { Badge, Message, MoreButton, Tags } from "../pieces";
import type { SessionDocument } from "../types";
import { ago, bytes, count, duration, moment } from "../words";
import { CellsView } from "./cells";
import { LineageView } from "./lineage";
import { Steps } from "./steps";
import { EnvironmentView, FilesView } from "./surroundings";
import { Timeline } from "./timeline";
import { VariablesView } from "./variables";

const VIEWS = {
  timeline: "Timeline",
  variables: "Variables",
  lineage: "Lineage",
  cells: "Cells",
  environment: "Environment",
  files: "Files"
} as const;

type ViewName = keyof typeof VIEWS;

/** A session that is recorded to is asked for at most so often. Milliseconds. */
const REST = 1500;

export class SessionTab extends ReactWidget {
  constructor(
    private readonly _api: Api,
    private readonly _commands: CommandRegistry,
    private readonly _languages: IEditorLanguageRegistry | null,
    events: Events,
    readonly session: string
  ) {
    super();
    this.id = SessionTab.idOf(session);
    this.addClass("ips-Session");
    this.title.label = session;
    this.title.caption = `Session ${session}`;
    this.title.icon = historyIcon;
    this.title.closable = true;
    this.node.tabIndex = -1;
    this.steps = new Steps(_api, session);
    events.sessions.connect((_, change) => {
      if (change.id === session && change.change !== "deleted") {
        this._refreshSoon();
      }
    }, this);
    events.reconnected.connect(() => this._refreshSoon(), this);
    void this.refresh();
  }

  static idOf(session: string): string {
    return `ipysession-session-${session}`;
  }

  readonly steps: Steps;
  document: SessionDocument | null = null;
  error = "";

  async refresh(): Promise<void> {
    const steps = this.steps.refresh();
    try {
      this.document = await this._api.session(this.session);
      this.error = "";
      this.title.label = this.document.title || this.session;
    } catch (error) {
      this.error = textOf(error);
    }
    this._changed.emit();
    await steps;
  }

  override dispose(): void {
    if (this._timer !== null) {
      clearTimeout(this._timer);
    }
    super.dispose(); // it says so to those who listen, so before they are forgotten
    Signal.clearData(this);
  }

  /** The shell takes what has the focus for its current widget. */
  protected override onActivateRequest(message: WidgetMessage): void {
    super.onActivateRequest(message);
    this.node.focus();
  }

  protected override onCloseRequest(message: WidgetMessage): void {
    super.onCloseRequest(message);
    this.dispose();
  }

  override render(): React.JSX.Element {
    return (
      <Languages.Provider value={this._languages}>
        <UseSignal signal={this._changed}>
          {() =>
            this.document ? (
              <SessionView
                api={this._api}
                commands={this._commands}
                session={this.document}
                steps={this.steps}
              />
            ) : (
              <Message
                title={this.error ? "The session cannot be shown" : "…"}
                role={this.error ? "alert" : "status"}
              >
                {this.error && <p>{this.error}</p>}
              </Message>
            )
          }
        </UseSignal>
      </Languages.Provider>
    );
  }

  private _refreshSoon(): void {
    if (this._timer === null && !this.isDisposed) {
      this._timer = setTimeout(() => {
        this._timer = null;
        void this.refresh();
      }, REST);
    }
  }

  private _timer: ReturnType<typeof setTimeout> | null = null;
  private readonly _changed = new Signal<this, void>(this);
}

function SessionView(props: {
  api: Api;
  commands: CommandRegistry;
  session: SessionDocument;
  steps: Steps;
}): React.JSX.Element {
  const { api, session, steps } = props;
  const [view, setView] = React.useState<ViewName>("timeline");
  const [step, setStep] = React.useState<number | null>(null);
  const notes = React.useMemo(() => {
    const found = new Map<number, string[]>();
    for (const note of session.details.notes) {
      const place = note.step ?? 0;
      found.set(place, [...(found.get(place) ?? []), note.text]);
    }
    return found;
  }, [session]);
  const damage = [...session.details.damage, ...session.details.contradictions];
  return (
    <>
      <Head {...props} />
      {damage.length > 0 && (
        <div className="ips-Notice" role="alert">
          {damage.join("\n")}
        </div>
      )}
      <Tabs view={view} onView={setView} />
      <UseSignal signal={steps.changed}>
        {() => (
          <div
            className="ips-Session-view"
            role="tabpanel"
            id={`ips-view-${session.id}`}
            aria-label={VIEWS[view]}
          >
            {view === "timeline" && (
              <Timeline
                steps={steps}
                notes={notes}
                onVariables={number => {
                  setStep(number);
                  setView("variables");
                }}
              />
            )}
            {view === "variables" && (
              <VariablesView
                api={api}
                session={session.id}
                step={step}
                last={steps.steps.at(-1)?.number ?? 0}
                onStep={setStep}
              />
            )}
            {view === "lineage" && (
              <LineageView api={api} session={session.id} last={steps.total} />
            )}
            {view === "cells" && <CellsView api={api} session={session.id} last={steps.total} />}
            {view === "environment" && <EnvironmentView session={session} />}
            {view === "files" && <FilesView details={session.details} />}
          </div>
        )}
      </UseSignal>
    </>
  );
}

function Head(props: { commands: CommandRegistry; session: SessionDocument }): React.JSX.Element {
  const { commands, session } = props;
  const facts = [
    count(session.steps, "step"),
    duration(session.cell_seconds),
    bytes(session.bytes),
    ago(session.updated),
    session.path ?? session.current_notebook ?? session.notebook ?? session.cwd
  ];
  const button = (command: string, label: string, kind = ""): React.JSX.Element => (
    <button
      type="button"
      className={`jp-mod-styled ${kind}`}
      onClick={() => void commands.execute(command, { session: session.id })}
    >
      {label}
    </button>
  );
  return (
    <header className="ips-Session-head">
      <div className="ips-Session-title">
        <h2 title={`${session.id}, begun ${moment(session.created)}`}>{session.title}</h2>
        <Badge state={session.state} />
        <Tags tags={session.tags} />
      </div>
      <div className="ips-Session-facts">{facts.filter(Boolean).join(" · ")}</div>
      <div className="ips-Session-actions">
        {session.resumable &&
          commands.isEnabled(Commands.resumeHere, { session: session.id }) &&
          button(Commands.resumeHere, "Resume here", "jp-mod-accept")}
        {session.resumable &&
          button(Commands.resumeNew, "Resume in a new notebook", "jp-mod-minimal")}
        {button(Commands.export, "Export…", "jp-mod-minimal")}
        <MoreButton commands={commands} session={session} />
      </div>
    </header>
  );
}

function Tabs(props: { view: ViewName; onView: (view: ViewName) => void }): React.JSX.Element {
  const names = Object.keys(VIEWS) as ViewName[];
  const onKey = (event: React.KeyboardEvent<HTMLElement>): void => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (step === undefined) {
      return;
    }
    event.preventDefault();
    const index = (names.indexOf(props.view) + step + names.length) % names.length;
    const name = names[index];
    if (name) {
      props.onView(name);
      event.currentTarget.querySelectorAll<HTMLElement>("[role=tab]")[index]?.focus();
    }
  };
  return (
    <div className="ips-Tabs" role="tablist" aria-label="Views of the session" onKeyDown={onKey}>
      {names.map(name => (
        <button
          key={name}
          type="button"
          role="tab"
          aria-selected={props.view === name}
          tabIndex={props.view === name ? 0 : -1}
          onClick={() => props.onView(name)}
        >
          {VIEWS[name]}
        </button>
      ))}
    </div>
  );
}
