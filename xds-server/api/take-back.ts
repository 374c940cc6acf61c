/** Taking back documents that were stored, when it turns out that they cannot be served. */
import { ApiError, type ErrorDetail } from "./api-error.ts";
import type { DocumentStore, Identity, KnownDocument, StoreChange } from "./ports.ts";

/** A document as the change has stored it. */
export interface StoredStep {
  readonly identity: Identity;
  readonly result: "created" | "configured" | "unchanged" | "deleted";
  readonly resourceVersion?: string;
}

/**
 * Makes of the documents what they were, all at once. One that somebody else has changed meanwhile is his, and stays. A store that does not answer is asked once more.
 * @param documents what there was before the change
 * @returns those that stand, with the reason
 */
export async function takeBack(
  store: DocumentStore,
  done: readonly StoredStep[],
  documents: ReadonlyMap<Identity, KnownDocument>,
): Promise<readonly ErrorDetail[]> {
  let steps = done.filter(({ result }) => result !== "unchanged");
  const undo = async () => {
    while (steps.length > 0) {
      const outcome = await store.changeAll(steps.map((step) => former(step, documents.get(step.identity))));
      if (outcome.ok) return;
      const left = steps.filter(({ identity }) => identity !== outcome.identity);
      if (left.length === steps.length) throw new Error(`${outcome.identity} is another than expected`);
      steps = left;
    }
  };
  try {
    // A second attempt after the first has worked unseen meets other versions, which is a success.
    await undo().catch(undo);
    return [];
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return steps.map(({ identity, result }) => {
      const what = result === "deleted" ? "is removed" : "is stored";
      return { message: `${identity} ${what} and could not be taken back: ${reason}` };
    });
  }
}

function former({ identity, resourceVersion }: StoredStep, old: KnownDocument | undefined): StoreChange {
  const text = old?.version === undefined ? undefined : JSON.stringify(old.value);
  return { identity, text, expected: resourceVersion ?? null };
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
