/** Purges: what is dropped, and what is remembered of it. */
import { randomBytes } from "node:crypto";
import { MAX_PURGE_LOG } from "./limits.ts";

/** Kinds are numbers, because they travel. */
export const PurgeKind = { key: 1, model: 2, tenant: 3, all: 4 } as const;
export type PurgeKind = (typeof PurgeKind)[keyof typeof PurgeKind];

export interface PurgeTarget {
  readonly kind: PurgeKind;
  /** Hex digits of the bytes on the wire: 32 of a key, 16 of the hash of a model or tenant, none of all. */
  readonly hash: string;
}

/** Entries of the target that were asked for at `at` (ms since the epoch) or before are dead. */
export interface Purge extends PurgeTarget {
  readonly at: number;
  /** From 1, without gaps. */
  readonly sequence: number;
}

/** The newest purges, oldest first. Immutable. */
export interface PurgeState {
  /** 16 hex digits, another one when the store has lost its purges. Never zeros. */
  readonly epoch: string;
  /** Of the newest purge; 0 without one. */
  readonly sequence: number;
  /** The last of them has `sequence`; at most MAX_PURGE_LOG. */
  readonly purges: readonly Purge[];
  /** Newest time of a purge that is no longer among them, ms; -1 without one. */
  readonly droppedAt: number;
}

export const ALL: PurgeTarget = { kind: PurgeKind.all, hash: "" };

/** The state after a purge. */
export function withPurge(state: PurgeState, purge: Purge): PurgeState {
  const kept = state.purges.slice(Math.max(0, state.purges.length + 1 - MAX_PURGE_LOG));
  const dropped = state.purges.slice(0, state.purges.length - kept.length);
  return {
    epoch: state.epoch,
    sequence: purge.sequence,
    purges: [...kept, purge],
    droppedAt: Math.max(state.droppedAt, ...dropped.map(({ at }) => at)),
  };
}

/**
 * Purges behind `since`, at most `limit`, in order. What is kept no longer is told as one purge of all: more than was asked for, never less.
 * A `since` ahead of the state is none of this epoch, and counts as 0.
 */
export function purgesSince(state: PurgeState, since: number, limit: number): readonly Purge[] {
  const from = since > state.sequence ? 0 : since;
  const firstKept = state.sequence - state.purges.length + 1;
  if (from + 1 >= firstKept) return state.purges.slice(from + 1 - firstKept, from + 1 - firstKept + limit);
  return [{ ...ALL, at: state.droppedAt, sequence: firstKept - 1 }, ...state.purges.slice(0, limit - 1)];
}

/** 16 hex digits, not all of them zero. */
export function newEpoch(): string {
  const bytes = randomBytes(8);
  bytes.writeUInt8(bytes.readUInt8(0) | 1, 0);
  return bytes.toString("hex");
}
