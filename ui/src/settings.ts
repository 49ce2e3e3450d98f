/**
 * The two settings that kernels share. The server's file is the truth: JupyterLab's settings
 * follow it, and what is changed in JupyterLab is sent there.
 */

import type { ISettingRegistry } from "@jupyterlab/settingregistry";

import { Problem, type Api } from "./api";
import type { Events } from "./events";
import { PLUGIN } from "./ids";
import type { OfferResume } from "./types";

export async function followSettings(
  registry: ISettingRegistry,
  api: Api,
  events: Events
): Promise<void> {
  const settings = await registry.load(PLUGIN);
  let isTaking = false;
  const take = async (): Promise<void> => {
    const now = await api.settings();
    isTaking = true;
    try {
      if (settings.composite.autoLoad !== now.auto_load) {
        await settings.set("autoLoad", now.auto_load);
      }
      if (settings.composite.offerResume !== now.offer_resume) {
        await settings.set("offerResume", now.offer_resume);
      }
    } finally {
      isTaking = false;
    }
  };
  const say = (error: unknown): void => {
    if (!(error instanceof Problem && error.isNoServer)) {
      console.warn("ipysession: the settings cannot be kept", error);
    }
  };
  settings.changed.connect(() => {
    if (!isTaking) {
      const change = {
        auto_load: settings.composite.autoLoad as boolean,
        offer_resume: settings.composite.offerResume as OfferResume
      };
      api.changeSettings(change).catch(say);
    }
  });
  events.settings.connect(() => void take().catch(say));
  await take().catch(say);
}
