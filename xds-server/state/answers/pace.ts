/**
 * When the pieces of a stream came: pairs of varints, ms since the piece before and bytes of the piece, whose bytes add up to those of the body. A filter records them
 * (filters/prompt-cache/pace-recorder.ts), stores keep them beside the answer, and a replay goes by them (paced-replays.ts).
 */
import protobuf from "protobufjs";
import { MAX_PACE_BYTES, MAX_PACE_PIECES, MAX_REPLAY_MS } from "./limits.ts";

/** How a request wants an answer given again. */
export interface Tempo {
  /** Of the recorded speed, in percent. */
  readonly speedPercent: number;
  /** No gap is longer, ms. */
  readonly maxGapMs: number;
}

/** One piece of a body. */
export interface PacedPiece {
  /** When it is due, ms from the beginning. */
  readonly at: number;
  /** Where it ends in the body. */
  readonly end: number;
}

/**
 * When each piece is to be given. The first one is at once, however long it took to come: an answer that is there is not waited for. Gaps are those of the recording,
 * bounded as the tempo says, and all of them shorter in proportion where the whole would take more than MAX_REPLAY_MS. O(pieces).
 * @returns undefined for bytes that are no pace of a body of that length
 */
export function schedule(pace: Uint8Array, length: number, tempo: Tempo): readonly PacedPiece[] | undefined {
  if (pace.length === 0 || pace.length > MAX_PACE_BYTES) return undefined;
  const pieces: { at: number; end: number }[] = [];
  let at = 0;
  let end = 0;
  try {
    const reader = protobuf.Reader.create(pace);
    while (reader.pos < reader.len) {
      const gap = reader.uint32();
      const bytes = reader.uint32();
      if (bytes === 0 || bytes > length - end || pieces.length === MAX_PACE_PIECES) return undefined;
      if (pieces.length > 0) at += Math.min((gap * 100) / tempo.speedPercent, tempo.maxGapMs);
      end += bytes;
      pieces.push({ at, end });
    }
  } catch {
    return undefined;
  }
  if (end !== length) return undefined;
  if (at > MAX_REPLAY_MS) for (const piece of pieces) piece.at *= MAX_REPLAY_MS / at;
  return pieces;
}
