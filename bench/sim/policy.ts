/** What chooses a replica. One object lives through one run. */
import type { EventQueue } from "./event-queue.ts";
import type { Fleet } from "./fleet.ts";
import type { Random } from "./random.ts";
import type { Request } from "./request.ts";

export interface Policy {
  /** Slot of a live replica. */
  pick(request: Request): number;
  /** The request has left for the slot; called right after `pick`. */
  sent?(request: Request, slot: number): void;
  /** The first token of its answer has come. */
  firstToken?(request: Request, slot: number): void;
  /** Its answer is complete, `millis` after it was sent. */
  done?(request: Request, slot: number, millis: number): void;
  joined?(slot: number): void;
  left?(slot: number): void;
  /** Called once at the end of a run. */
  close?(): void;
}

export interface PolicyContext {
  readonly fleet: Fleet;
  readonly queue: EventQueue;
  readonly random: Random;
  /** Workers of the proxy; requests say which of them they belong to. */
  readonly workers: number;
  /** ms between exchanges of prefixes among workers; undefined: never. */
  readonly gossipMs: number | undefined;
}

export type PolicyFactory = (context: PolicyContext) => Policy;

/** One instance per worker, each of which hears only of its own requests: what happens to a policy that keeps a prefix index in each process. */
export const perWorker =
  (factory: PolicyFactory): PolicyFactory =>
  (context) => {
    const own = Array.from({ length: context.workers }, () => factory(context));
    const of = ({ worker }: Request): Policy => own[worker] as Policy;
    return {
      pick: (request) => of(request).pick(request),
      sent: (request, slot) => of(request).sent?.(request, slot),
      firstToken: (request, slot) => of(request).firstToken?.(request, slot),
      done: (request, slot, millis) => of(request).done?.(request, slot, millis),
      joined: (slot) => {
        for (const policy of own) policy.joined?.(slot);
      },
      left: (slot) => {
        for (const policy of own) policy.left?.(slot);
      },
      close: () => {
        for (const policy of own) policy.close?.();
      },
    };
  };
