/**
 * Answers of the prompt cache behind what Envoys hold themselves: a gRPC service beside ADS on the same port, with the answers in memory or in Redis or Valkey.
 * Filters ask it after their own cache, and hear from it what was purged. Answers that are still on their way go through it, too, for those who wait for the same (flights.ts).
 */
import type { IncomingMessage } from "node:http";
import type { Registry } from "prom-client";
import { CallError, type PageMethod, Status, type StreamMethod, type UnaryMethod } from "../../grpc/index.ts";
import { type Logger, silentLogger } from "../../log.ts";
import type { RedisOptions } from "../redis/connection.ts";
import { AnswerCalls } from "./answer-calls.ts";
import { followPage, leadMethod } from "./flight-calls.ts";
import { FlightForwarder } from "./flight-forward.ts";
import { createFlightMetrics } from "./flight-metrics.ts";
import { type FlightPlaces, sharedPlaces } from "./flight-places.ts";
import { LEAD_PATH } from "./flight-protocol.ts";
import { Flights } from "./flights.ts";
import { FOLLOW_PATH } from "./follow-request.ts";
import { REPLAY_CLAIM_MS } from "./limits.ts";
import { MemoryStore } from "./memory-store.ts";
import { type AnswerMetrics, createAnswerMetrics } from "./metrics.ts";
import { PacedReplays } from "./paced-replays.ts";
import {
  decodeGet,
  decodePurges,
  decodePut,
  encodeFound,
  encodePurges,
  encodeStored,
  GET_PATH,
  PURGES_PATH,
  PUT_PATH,
} from "./protocol.ts";
import { PurgeKind, type PurgeTarget } from "./purge.ts";
import { answerPurge, type JsonAnswer } from "./purge-api.ts";
import { PurgeFeed } from "./purge-feed.ts";
import { RedisStore } from "./redis-store.ts";
import { beginReplay, REPLAY_CLOCK } from "./replay-calls.ts";
import { createReplayMetrics } from "./replay-metrics.ts";
import { SemanticAnswers } from "./semantic/index.ts";
import { createSemanticMetrics } from "./semantic/metrics.ts";
import type { SemanticOptions } from "./semantic/options.ts";

export interface AnswerServiceOptions {
  /** Answers in Redis or Valkey; in memory by default. */
  readonly redis?: Omit<RedisOptions, "onState"> & { readonly prefix?: string };
  /** Bytes of the store in memory; 256 MiB by default. */
  readonly memoryBytes?: number;
  /** Answers by similarity; none by default. */
  readonly semantic?: SemanticOptions;
  readonly log?: Logger;
  /** ms since the epoch; the clock of the machine by default. */
  readonly now?: () => number;
}

export interface AnswerService {
  /** gRPC methods by path. */
  readonly methods: ReadonlyMap<string, UnaryMethod>;
  /** Answers on their way: those who send them, and those who read along. */
  readonly streams: ReadonlyMap<string, StreamMethod>;
  readonly pages: ReadonlyMap<string, PageMethod>;
  /** For people: `GET /cache`. */
  view(): Promise<object>;
  /** `POST /cache/purge`. Never rejects. */
  purge(request: IncomingMessage): Promise<JsonAnswer>;
  /** Answers the calls that wait, so that the gRPC server can stop. */
  close(): Promise<void>;
}

export const DEFAULT_MEMORY_BYTES = 256 * 1024 * 1024;

const EMPTY = Buffer.alloc(0);

/**
 * @param registry gets the metrics `tokenmesh_answers_*`
 * @throws ServerError TM_USAGE
 */
export function createAnswerService(registry: Registry, options: AnswerServiceOptions = {}): AnswerService {
  const { redis, memoryBytes = DEFAULT_MEMORY_BYTES, log = silentLogger, now = Date.now } = options;
  const similar = createSemanticMetrics(registry);
  const semantic =
    options.semantic === undefined
      ? undefined
      : new SemanticAnswers({ options: options.semantic, redis, metrics: similar, log });
  const onState = (up: boolean, reason: string) =>
    log(up ? "info" : "warn", up ? "store of answers connected" : "store of answers lost", { reason });
  const memory =
    redis === undefined
      ? new MemoryStore({ maxBytes: memoryBytes, now, onEvict: (what) => metrics.evictions.inc({ what }) })
      : undefined;
  const shared = redis === undefined ? undefined : new RedisStore({ ...redis, now, onState });
  const store = memory ?? (shared as RedisStore);
  const places = shared === undefined ? undefined : sharedPlaces(shared);
  const forwarder = shared === undefined ? undefined : new FlightForwarder();
  const feed = new PurgeFeed(store, now);
  const metrics = createAnswerMetrics(registry, {
    up: () => store.up(),
    pollers: () => feed.waiting,
    memory: () => (memory === undefined ? undefined : { entries: memory.size, bytes: memory.bytes }),
  });
  const flights = new Flights();
  const replayed = createReplayMetrics(registry, () => replays);
  const replays = new PacedReplays(REPLAY_CLOCK, (result) => replayed.inc({ result }));
  const flying = { flights, replays, metrics: createFlightMetrics(registry, flights), places, forwarder, now };
  const calls = new AnswerCalls({ store, metrics, log, semantic, now });
  const purge = async (target: PurgeTarget) => {
    const purged = await feed.purge(target);
    for (const [kind, number] of Object.entries(PurgeKind)) if (number === target.kind) metrics.purges.inc({ kind });
    return purged;
  };
  return {
    methods: new Map([
      [GET_PATH, getMethod(calls, metrics, replays, places)],
      [PUT_PATH, putMethod(calls, metrics)],
      [PURGES_PATH, purgesMethod(feed, metrics)],
    ]),
    streams: new Map([[LEAD_PATH, leadMethod(flying)]]),
    pages: new Map([[FOLLOW_PATH, followPage(flying)]]),
    view: async () => ({
      store: store.view(),
      gets: await byLabel(metrics.gets, "result"),
      puts: await byLabel(metrics.puts, "result"),
      bytes: await byLabel(metrics.bytes, "what"),
      ...(semantic === undefined
        ? {}
        : {
            similar: {
              ...semantic.view(),
              gets: await byLabel(similar.gets, "result"),
              puts: await byLabel(similar.puts, "result"),
              calls: await byLabel(similar.calls, "result"),
            },
          }),
      purges: await feed.view(),
    }),
    purge: (request) => answerPurge(request, { purge, log }),
    close: async () => {
      feed.close();
      replays.close();
      forwarder?.close();
      semantic?.close();
      await store.close();
    },
  };
}

function getMethod(
  calls: AnswerCalls,
  metrics: AnswerMetrics,
  replays: PacedReplays,
  places: FlightPlaces | undefined,
): UnaryMethod {
  return async (message, { peer }) => {
    const asked = decoded(decodeGet, message);
    if (asked === undefined) {
      metrics.gets.inc({ result: "malformed" });
      throw new CallError(Status.invalidArgument, "not a GetRequest");
    }
    const found = await calls.get(asked);
    if (found === undefined) return EMPTY;
    const replay = beginReplay(replays, asked, found);
    // The request may come to another server.
    if (replay !== undefined && peer.reached !== undefined) await places?.note(replay, peer.reached, REPLAY_CLAIM_MS);
    const isThere = asked.replay !== undefined && asked.replay.of > 0;
    return encodeFound(found.ageMs, isThere ? EMPTY : found.value, found.similar, replay);
  };
}

function putMethod(calls: AnswerCalls, metrics: AnswerMetrics): UnaryMethod {
  return async (message) => {
    const put = decoded(decodePut, message);
    if (put === undefined) {
      metrics.puts.inc({ result: "malformed" });
      throw new CallError(Status.invalidArgument, "not a PutRequest");
    }
    return encodeStored(await calls.put(put));
  };
}

function purgesMethod(feed: PurgeFeed, metrics: AnswerMetrics): UnaryMethod {
  return (message, call) => {
    const request = decoded(decodePurges, message);
    if (request === undefined) {
      metrics.polls.inc({ result: "malformed" });
      throw new CallError(Status.invalidArgument, "not a PurgesRequest");
    }
    return new Promise((resolve) => {
      const cancel = feed.ask(request, (answer) => {
        metrics.polls.inc({ result: answer.purges.length > 0 ? "news" : "nothing" });
        resolve(encodePurges(answer));
      });
      if (cancel === undefined) {
        metrics.polls.inc({ result: "refused" });
        throw new CallError(Status.resourceExhausted, "too many calls wait for purges");
      }
      call.onCancel(cancel);
    });
  };
}

/** undefined for bytes that are no such message. */
function decoded<T>(decode: (bytes: Uint8Array) => T, bytes: Uint8Array): T | undefined {
  try {
    return decode(bytes);
  } catch {
    return undefined;
  }
}

async function byLabel<T extends string>(
  counter: { get(): Promise<{ values: readonly { value: number; labels: Partial<Record<T, string | number>> }[] }> },
  label: T,
): Promise<Readonly<Record<string, number>>> {
  const { values } = await counter.get();
  return Object.fromEntries(values.map(({ labels, value }) => [String(labels[label]), value]));
}
