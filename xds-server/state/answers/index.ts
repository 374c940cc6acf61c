/**
 * Answers of the prompt cache behind what Envoys hold themselves: a gRPC service beside ADS on the same port, with the answers in memory or in Redis or Valkey.
 * Filters ask it after their own cache, and hear from it what was purged.
 */
import type { IncomingMessage } from "node:http";
import { type handleUnaryCall, type ServiceDefinition, status, type UntypedServiceImplementation } from "@grpc/grpc-js";
import type { Registry } from "prom-client";
import { type Logger, silentLogger } from "../../log.ts";
import { AnswerCalls } from "./answer-calls.ts";
import { MemoryStore } from "./memory-store.ts";
import { type AnswerMetrics, createAnswerMetrics } from "./metrics.ts";
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
import type { RedisOptions } from "./redis-connection.ts";
import { RedisStore } from "./redis-store.ts";
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
  /** Bearer token of the admin API; without one only this machine may purge. */
  readonly token?: string;
  readonly log?: Logger;
  /** ms since the epoch; the clock of the machine by default. */
  readonly now?: () => number;
}

export interface AnswerService {
  readonly definition: ServiceDefinition;
  readonly implementation: UntypedServiceImplementation;
  /** For people: `GET /cache`. */
  view(): Promise<object>;
  /** `POST /cache/purge`. Never rejects. */
  purge(request: IncomingMessage): Promise<JsonAnswer>;
  /** Answers the calls that wait, so that the gRPC server can stop. */
  close(): Promise<void>;
}

export const DEFAULT_MEMORY_BYTES = 256 * 1024 * 1024;

const passThrough = (bytes: Buffer): Buffer => bytes;

const unary = (path: string) =>
  ({
    path,
    requestStream: false,
    responseStream: false,
    requestSerialize: passThrough,
    requestDeserialize: passThrough,
    responseSerialize: passThrough,
    responseDeserialize: passThrough,
  }) as const;

const DEFINITION = {
  get: unary(GET_PATH),
  put: unary(PUT_PATH),
  purges: unary(PURGES_PATH),
} as const satisfies ServiceDefinition;

type Handler = handleUnaryCall<Buffer, Buffer>;

const EMPTY = Buffer.alloc(0);

/**
 * @param registry gets the metrics `tokenmesh_answers_*`
 * @throws ServerError TM_USAGE
 */
export function createAnswerService(registry: Registry, options: AnswerServiceOptions = {}): AnswerService {
  const { redis, memoryBytes = DEFAULT_MEMORY_BYTES, token, log = silentLogger, now = Date.now } = options;
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
  const store = memory ?? new RedisStore({ ...(redis as RedisOptions), now, onState });
  const feed = new PurgeFeed(store, now);
  const metrics = createAnswerMetrics(registry, {
    up: () => store.up(),
    pollers: () => feed.waiting,
    memory: () => (memory === undefined ? undefined : { entries: memory.size, bytes: memory.bytes }),
  });
  const calls = new AnswerCalls({ store, metrics, log, semantic, now });
  const purge = async (target: PurgeTarget) => {
    const purged = await feed.purge(target);
    for (const [kind, number] of Object.entries(PurgeKind)) if (number === target.kind) metrics.purges.inc({ kind });
    return purged;
  };
  return {
    definition: DEFINITION,
    implementation: {
      get: getHandler(calls, metrics),
      put: putHandler(calls, metrics),
      purges: purgesHandler(feed, metrics),
    },
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
    purge: (request) => answerPurge(request, { purge, token, log }),
    close: async () => {
      feed.close();
      semantic?.close();
      await store.close();
    },
  };
}

function getHandler(calls: AnswerCalls, metrics: AnswerMetrics): Handler {
  return ({ request }, callback) => {
    const asked = decoded(decodeGet, request);
    if (asked === undefined) {
      metrics.gets.inc({ result: "malformed" });
      callback({ code: status.INVALID_ARGUMENT, details: "not a GetRequest" });
      return;
    }
    void calls
      .get(asked)
      .then((found) =>
        callback(null, found === undefined ? EMPTY : encodeFound(found.ageMs, found.value, found.similar)),
      );
  };
}

function putHandler(calls: AnswerCalls, metrics: AnswerMetrics): Handler {
  return ({ request }, callback) => {
    const put = decoded(decodePut, request);
    if (put === undefined) {
      metrics.puts.inc({ result: "malformed" });
      callback({ code: status.INVALID_ARGUMENT, details: "not a PutRequest" });
      return;
    }
    void calls.put(put).then((stored) => callback(null, encodeStored(stored)));
  };
}

function purgesHandler(feed: PurgeFeed, metrics: AnswerMetrics): Handler {
  return (call, callback) => {
    const request = decoded(decodePurges, call.request);
    if (request === undefined) {
      metrics.polls.inc({ result: "malformed" });
      callback({ code: status.INVALID_ARGUMENT, details: "not a PurgesRequest" });
      return;
    }
    const cancel = feed.ask(request, (answer) => {
      metrics.polls.inc({ result: answer.purges.length > 0 ? "news" : "nothing" });
      callback(null, encodePurges(answer));
    });
    if (cancel !== undefined) {
      call.on("cancelled", cancel);
      return;
    }
    metrics.polls.inc({ result: "refused" });
    callback({ code: status.RESOURCE_EXHAUSTED, details: "too many calls wait for purges" });
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
