/** Changes of several ConfigMaps as one, step by step, and what others have left of theirs. How it works: config-map-change.ts. */
import type { RawObject, Timing } from "../../kubernetes/index.ts";
import { StoreError } from "../store-error.ts";
import { configMapOf, type HeldRecord, heldOf, type KeyedRecord, nameOf, recordOf } from "./config-map.ts";
import type { ConfigMapCalls } from "./config-map-calls.ts";
import { changeObject, changeOf, encodeChange, type HeldChange, newChangeName } from "./config-map-change.ts";
import { MAX_ATTEMPTS, MAX_PAUSE_MS } from "./limits.ts";
import type { ChangesResult, RecordChange, StoredRecord } from "./store.ts";

/** How often a writer looks whether a change that somebody else has begun is made, before he gives it up; together about half a second. */
const PATIENCE = 5;
const FIRST_PAUSE_MS = 20;

/** A record that is marked with a change of this server's. */
interface Marked {
  readonly change: RecordChange;
  /** resourceVersion of the marked object, which is the version of the new value. */
  readonly version: string;
  /** What it was before. */
  readonly before: HeldRecord | undefined;
}

/** A record and its object: without a record there may still be an object. */
export interface Settled {
  readonly record: KeyedRecord | undefined;
  readonly held: HeldRecord | undefined;
  /** That the object belongs to; a mark of one that was given up is none. */
  readonly change: HeldChange | undefined;
}

export class ConfigMapChanges {
  readonly #calls: ConfigMapCalls;
  readonly #timing: Timing;

  constructor(calls: ConfigMapCalls, timing: Timing) {
    this.#calls = calls;
    this.#timing = timing;
  }

  /** The record, whichever change it belongs to. @throws StoreError */
  async read(key: string): Promise<Settled> {
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const held = await this.#held(key);
      const own = { held, record: held && recordOf(held, new Map()), change: undefined };
      if (held?.change === undefined) return own;
      const change = await this.#change(held.change);
      if (change !== undefined)
        return { held, change, record: recordOf(held, new Map(change.made ? [[change.name, change.values]] : [])) };
      // It is gone: finished since, unless the object is still as it was. Then it was given up.
      const again = await this.#held(key);
      if (again?.resourceVersion === held.resourceVersion) return own;
    }
    throw new StoreError("busy", `${key} is changed by others again and again`);
  }

  /** The record as its object has it: a change that it belongs to is finished, or given up if it is not made. @throws StoreError */
  async settle(key: string): Promise<Settled> {
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const settled = await this.read(key);
      const { held, change } = settled;
      if (held === undefined || change === undefined) return settled;
      if (change.made) await this.#finish(held, change.values.get(key));
      // Its owner is probably about to make it.
      else if (attempt < PATIENCE) await this.#pause(attempt);
      else await this.#calls.remove(change.name, change.resourceVersion);
    }
    throw new StoreError("busy", `${key} is changed by others again and again`);
  }

  /** @throws StoreError; ServerError TM_STATE_TOO_LARGE */
  async changeAll(changes: readonly RecordChange[]): Promise<ChangesResult> {
    const encoded = encodeChange(changes);
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const result = await this.#attempt(changes, encoded);
      if (result !== undefined) return result;
      await this.#pause(attempt);
    }
    throw new StoreError("busy", "others change the same records again and again");
  }

  /** undefined when somebody else has given it up. */
  async #attempt(changes: readonly RecordChange[], encoded: string): Promise<ChangesResult | undefined> {
    const name = newChangeName();
    const created = versionOf(await this.#calls.create(changeObject(name, encoded, false)));
    const marked: Marked[] = [];
    // Once it is asked for, nobody but the API server knows whether it is made.
    let decision: "open" | "asked" | "made" = "open";
    try {
      // In one order: of two changes one waits for the other, and not both.
      for (const change of [...changes].sort((a, b) => (a.key < b.key ? -1 : 1))) {
        const mark = await this.#mark(change, name);
        if ("conflict" in mark) return { ok: false, key: change.key, current: mark.conflict };
        if (mark.version !== "") marked.push(mark);
      }
      decision = "asked";
      decision =
        (await this.#calls.replace(changeObject(name, encoded, true, created))) === undefined ? "open" : "made";
    } finally {
      if (decision === "open") await this.#giveUp(name, created, marked);
    }
    if (decision === "open") return undefined;
    // All of it is there from here on; what fails is finished by who writes these records next.
    await Promise.all(marked.map((each) => this.#finish(heldBy(each, name), each.change.value)))
      .then(() => this.#calls.remove(name))
      .catch(() => {});
    const versions = new Map(
      marked.map(({ change: { key, value }, version }) => [key, value === undefined ? "" : version]),
    );
    return { ok: true, versions: changes.map(({ key }) => versions.get(key) ?? "") };
  }

  /** Marks the object of a record, if the record is as expected. A version "" is of what is not there and needs no mark. */
  async #mark(change: RecordChange, name: string): Promise<Marked | { readonly conflict: StoredRecord | undefined }> {
    const { key, value, expected } = change;
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const { held, record } = await this.settle(key);
      if (expected !== undefined && (record?.version ?? null) !== expected)
        return { conflict: record && { value: record.value, version: record.version } };
      if (value === undefined && record === undefined) return { change, version: "", before: held };
      const body = configMapOf(key, record?.value, held?.resourceVersion, { change: name, version: record?.version });
      const done = held === undefined ? await this.#calls.create(body) : await this.#calls.replace(body);
      if (done !== undefined) return { change, version: versionOf(done), before: held };
    }
    throw new StoreError("busy", `${key} is changed by others again and again`);
  }

  /** Writes the new value into the object of a record. Somebody else may have done it before. */
  async #finish({ key, resourceVersion }: HeldRecord, value: string | undefined): Promise<void> {
    if (value === undefined) await this.#calls.remove(nameOf(key), resourceVersion);
    else await this.#calls.replace(configMapOf(key, value, resourceVersion, { version: resourceVersion }));
  }

  /** Nothing of it was made: who finds what is left of it sees what there was before. */
  async #giveUp(name: string, created: string, marked: readonly Marked[]): Promise<void> {
    try {
      if ((await this.#calls.remove(name, created)) === undefined && (await this.#change(name)) !== undefined) return;
      for (const { change, version, before } of marked) {
        const { key } = change;
        if (before?.value === undefined) await this.#calls.remove(nameOf(key), version);
        else await this.#calls.replace(configMapOf(key, before.value, version, { version: before.version }));
      }
    } catch {
      // It is nothing but marks that mean nothing.
    }
  }

  #pause(attempt: number): Promise<void> {
    const ms = (0.5 + this.#timing.random() / 2) * Math.min(MAX_PAUSE_MS, FIRST_PAUSE_MS * 2 ** attempt);
    return new Promise((resolve) => void this.#timing.after(ms, resolve));
  }

  async #held(key: string): Promise<HeldRecord | undefined> {
    const object = await this.#calls.get(nameOf(key));
    const held = object && heldOf(object);
    if (object !== undefined && held?.key !== key)
      throw new StoreError("failed", `ConfigMap ${nameOf(key)} is not the record ${key}`);
    return held;
  }

  async #change(name: string): Promise<HeldChange | undefined> {
    const object = await this.#calls.get(name);
    const change = object && changeOf(object);
    if (object !== undefined && change === undefined)
      throw new StoreError("failed", `ConfigMap ${name} is not a change of records`);
    return change;
  }
}

const heldBy = ({ change, version }: Marked, name: string): HeldRecord => ({
  key: change.key,
  resourceVersion: version,
  value: undefined,
  version,
  change: name,
});

export function versionOf(object: RawObject | undefined): string {
  const { resourceVersion } = (object?.metadata ?? {}) as RawObject;
  if (typeof resourceVersion === "string") return resourceVersion;
  throw new StoreError("failed", "the API server answers with no version");
}
