/**
 * Changes of the configuration through the API, one at a time on this replica: judged together with all that is in force, stored, and in force here when the
 * answer goes out. What turns out not to be servable after all (another replica stored something in between) is taken back; what cannot be, the answer names.
 */
import type { Logger } from "../log.ts";
import { type Before, before } from "./acknowledgement.ts";
import { ApiError, configDetails, refuseInvalid } from "./api-error.ts";
import { type DocumentValue, type ReadBody, sameDocument } from "./document-body.ts";
import type { ApiPorts, DocumentChange, Identity, KnownDocument, StoreChange } from "./ports.ts";
import { refusePartial, type StoredStep, takeBack } from "./take-back.ts";
import { type Acknowledged, AcknowledgementWaiter, type WaitFor } from "./waiting.ts";

export type AppliedDocument = StoredStep;

export interface Applied {
  /** Of the snapshot, by group. */
  readonly versions: Readonly<Record<string, string>>;
  readonly documents: readonly AppliedDocument[];
  readonly warnings: readonly unknown[];
}

interface Step {
  readonly identity: Identity;
  /** Undefined: to be removed. */
  readonly value: DocumentValue | undefined;
  /** As `resourceVersion` of the sender. */
  readonly expected: string | undefined;
}

export class Changes {
  readonly #ports: ApiPorts;
  readonly #log: Logger;
  readonly #waiter: AcknowledgementWaiter;
  #last: Promise<unknown> = Promise.resolve();

  constructor(ports: ApiPorts, log: Logger) {
    this.#ports = ports;
    this.#log = log;
    this.#waiter = new AcknowledgementWaiter(ports);
  }

  /**
   * Puts the documents of a body.
   * @throws ApiError, StoreUnavailable
   */
  put({ documents, sources }: ReadBody, wait?: WaitFor): Promise<Applied & Waited> {
    const steps = documents.map(({ identity, value, resourceVersion: expected }) => ({ identity, value, expected }));
    return this.#change(steps, { put: sources, remove: [] }, wait);
  }

  /** Removes a document of the API. @throws ApiError, StoreUnavailable */
  remove(identity: Identity, expected: string | undefined, wait?: WaitFor): Promise<Applied & Waited> {
    return this.#change([{ identity, value: undefined, expected }], { put: [], remove: [identity] }, wait);
  }

  /** Something else that changes what is served, in its turn; answers as the others do. */
  async other<T extends object>(change: () => Promise<T>, wait?: WaitFor): Promise<T & Waited> {
    return this.#turn(async () => {
      const known = this.#before(wait);
      const result = await change();
      return { result, known };
    }).then(async ({ result, known }) => ({ ...result, ...(await this.#waited(known, wait, result)) }));
  }

  async #change(steps: readonly Step[], change: DocumentChange, wait: WaitFor | undefined): Promise<Applied & Waited> {
    const { control } = this.#ports;
    const { applied, known } = await this.#turn(async () => {
      const documents = control.documents();
      for (const step of steps) refuseConflict(step, documents.get(step.identity));
      const { errors, warnings } = control.check(change);
      refuseInvalid(errors);
      const state = this.#before(wait);
      const done = await this.#store(steps, documents);
      await control.settle();
      const refused = control.errors();
      if (refused.length > 0) {
        const standing = await this.#takeBack(done, documents);
        refusePartial(standing, "what is in force now does not go with it", configDetails(refused));
        refuseInvalid(refused);
      }
      const versions = Object.fromEntries(control.groups().map(({ group, version }) => [group, version]));
      return { applied: { versions, documents: done, warnings: configDetails(warnings) }, known: state };
    });
    return { ...applied, ...(await this.#waited(known, wait, applied)) };
  }

  /** Looks at all Envoys: there may be hundreds, and only who waits for them is to be told. */
  #before(wait: WaitFor | undefined): Before | undefined {
    return wait === undefined ? undefined : before(this.#ports.nodes(), this.#ports.control.groups());
  }

  async #waited(known: Before | undefined, wait: WaitFor | undefined, result: object): Promise<Waited> {
    if (known === undefined || wait === undefined) return {};
    return { wait: await this.#waiter.wait(known, wait, { ...result }) };
  }

  /** Writes the documents that differ from what is there, all of them or none. @throws ApiError TM_API_CONFLICT */
  async #store(
    steps: readonly Step[],
    documents: ReadonlyMap<Identity, KnownDocument>,
  ): Promise<readonly AppliedDocument[]> {
    const changes = steps.flatMap((step) => storeChange(step, documents.get(step.identity)) ?? []);
    const outcome =
      changes.length === 0 ? { ok: true as const, versions: [] } : await this.#ports.documents.changeAll(changes);
    if (!outcome.ok)
      throw new ApiError("TM_API_CONFLICT", `${outcome.identity} was changed at the same time by another request`);
    const versions = new Map(changes.map(({ identity }, index) => [identity, outcome.versions[index] ?? ""]));
    return steps.map(({ identity, value }) => {
      const known = documents.get(identity);
      const version = versions.get(identity) ?? known?.version;
      if (value === undefined) return { identity, result: "deleted" };
      const result = !versions.has(identity) ? "unchanged" : known === undefined ? "created" : "configured";
      return { identity, result, ...(version === undefined ? {} : { resourceVersion: version }) };
    });
  }

  /** What stands nevertheless. */
  async #takeBack(done: readonly AppliedDocument[], documents: ReadonlyMap<Identity, KnownDocument>) {
    const standing = await takeBack(this.#ports.documents, done, documents);
    for (const { message } of standing) this.#log("error", "a change could not be taken back", { detail: message });
    await this.#ports.control.settle();
    return standing;
  }

  #turn<T>(run: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(run);
    this.#last = turn.catch(() => {});
    return turn;
  }
}

export interface Waited {
  readonly wait?: Acknowledged;
}

/** @throws ApiError TM_API_CONFLICT */
function refuseConflict({ identity, value, expected }: Step, known: KnownDocument | undefined): void {
  if (value === undefined) {
    if (known === undefined) throw new ApiError("TM_API_NOT_FOUND", `there is no ${identity}`);
    if (known.version === undefined)
      throw new ApiError("TM_API_CONFLICT", `${identity} is in the file ${known.origin}, which is where to remove it`);
  }
  if (expected !== undefined && expected !== known?.version)
    throw new ApiError("TM_API_CONFLICT", `${identity} has not the version ${expected.slice(0, 80)} any more`);
}

/** What the store is to do; undefined when it has nothing to. */
function storeChange({ identity, value, expected }: Step, known: KnownDocument | undefined): StoreChange | undefined {
  if (value === undefined) return { identity, text: undefined, expected: expected ?? known?.version };
  // Equal to the one of a file: a copy in the store would only hide later changes of the file.
  if (known !== undefined && sameDocument(known.value, value)) return undefined;
  // Without a version of the sender's, the one that was judged: nobody's change is overwritten unseen.
  return { identity, text: JSON.stringify(value), expected: expected ?? known?.version ?? null };
}
