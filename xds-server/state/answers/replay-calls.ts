/** What a get has found and a request wants given as it came: from here on it has an id, by which the request finds it (flight-calls.ts). */
import { randomBytes } from "node:crypto";
import type { FoundEntry } from "./answer-calls.ts";
import { readStream } from "./entry.ts";
import { schedule } from "./pace.ts";
import type { PacedReplays, ReplayClock } from "./paced-replays.ts";
import type { GetRequest } from "./protocol.ts";

/** The machine's. */
export const REPLAY_CLOCK: ReplayClock = {
  elapsed: () => performance.now(),
  later: (work, ms) => {
    const timer = setTimeout(work, ms).unref();
    return () => clearTimeout(timer);
  },
  newId: () => randomBytes(16).toString("hex"),
};

/** The id; undefined for what is to be given at once: nobody wants it otherwise, it is no stream or not the one that is wanted, nobody knows how it came, or there are too many. O(pieces). */
export function beginReplay(replays: PacedReplays, asked: GetRequest, found: FoundEntry): string | undefined {
  const { replay, key } = asked;
  if (replay === undefined || found.paced === undefined || found.similar !== undefined) return undefined;
  const { pace, storedAt } = found.paced;
  if (replay.of > 0 && replay.of !== storedAt) return undefined;
  const stream = readStream(found.value);
  const pieces = stream && schedule(pace, stream.body.length, replay);
  if (stream === undefined || pieces === undefined) return undefined;
  const { contentType, body } = stream;
  const head = { contentType, key: replay.showKey ? key : undefined, askedAt: storedAt, cache: "hit" } as const;
  return replays.begin({ head, identity: `${key} ${storedAt}`, body, pieces });
}
