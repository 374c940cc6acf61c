/** Taking back documents that were stored, when the change that they belong to cannot be finished: the store writes one at a time. */
import { ApiError, type ErrorDetail } from "./api-error.ts";
import type { DocumentStore, Identity, KnownDocument } from "./ports.ts";

/** A document as the change has stored it. */
export interface StoredStep {
  readonly identity: Identity;
  readonly result: "created" | "configured" | "unchanged" | "deleted";
  readonly resourceVersion?: string;
}

/**
 * Makes of each document what it was, the last one first. One that somebody else has changed meanwhile is his, and stays. A store that does not answer is asked
 * once more, and when it fails again no further: the rest stands.
 * @param documents what there was before the change
 * @returns those that stand, with the reason
 */
export async function takeBack(
  store: DocumentStore,
  done: readonly StoredStep[],
  documents: ReadonlyMap<Identity, KnownDocument>,
): Promise<readonly ErrorDetail[]> {
  const standing: ErrorDetail[] = [];
  let reason: string | undefined;
  for (const step of done.filter(({ result }) => result !== "unchanged").reverse()) {
    reason ??= await failureOf(() => undo(store, step, documents.get(step.identity)));
    if (reason === undefined) continue;
    const what = step.result === "deleted" ? "is removed" : "is stored";
    standing.push({ message: `${step.identity} ${what} and could not be taken back: ${reason}` });
  }
  return standing;
}

async function undo(store: DocumentStore, step: StoredStep, old: KnownDocument | undefined): Promise<void> {
  const { identity, resourceVersion } = step;
  if (old?.version === undefined) await store.delete(identity, resourceVersion);
  else await store.put(identity, JSON.stringify(old.value), resourceVersion ?? null);
}

/** After two attempts; undefined when one of them succeeds. A second one after the first has worked unseen is a conflict, which is a success. */
async function failureOf(attempt: () => Promise<void>): Promise<string | undefined> {
  try {
    await attempt().catch(attempt);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** @throws ApiError TM_API_PARTIAL when something stands; `cause` is why the change could not be finished */
export function refusePartial(
  standing: readonly ErrorDetail[],
  cause: string,
  more: readonly ErrorDetail[] = [],
): void {
  if (standing.length === 0) return;
  const what = standing.length === 1 ? "1 document of it stands" : `${standing.length} documents of it stand`;
  throw new ApiError("TM_API_PARTIAL", `the change failed and ${what}: ${cause}`, { details: [...standing, ...more] });
}
