/**
 * The loads feed: filters ask this server what the engines behind their endpoints have to do, so that engines are scraped once for all Envoys. A gRPC service beside ADS
 * on the same port.
 */
import { type handleUnaryCall, type ServiceDefinition, status, type UntypedServiceImplementation } from "@grpc/grpc-js";
import type { Registry } from "prom-client";
import { createLoadsMetrics } from "./metrics.ts";
import { decodeFetch, encodeLoads, FETCH_PATH } from "./protocol.ts";
import { httpScrape } from "./scrape.ts";
import { type EndpointState, type LoadsPool, LoadsScraper } from "./scraper.ts";

export interface LoadsFeed {
  readonly definition: ServiceDefinition;
  readonly implementation: UntypedServiceImplementation;
  /** By name; what is known of endpoints that stay is kept. */
  configure(pools: ReadonlyMap<string, LoadsPool>): void;
  /** For people: by pool. */
  view(): Readonly<Record<string, readonly object[]>>;
  close(): void;
}

const passThrough = (bytes: Buffer): Buffer => bytes;

const DEFINITION = {
  fetch: {
    path: FETCH_PATH,
    requestStream: false,
    responseStream: false,
    requestSerialize: passThrough,
    requestDeserialize: passThrough,
    responseSerialize: passThrough,
    responseDeserialize: passThrough,
  },
} as const satisfies ServiceDefinition;

/** @param registry gets the metrics `tokenmesh_loads_*` */
export function createLoadsFeed(registry: Registry): LoadsFeed {
  const { scrape, close } = httpScrape();
  const scraper = new LoadsScraper({
    scrape,
    now: () => performance.now(),
    random: Math.random,
    onScrape: (result, ms) => {
      metrics.scrapes.inc({ result });
      metrics.duration.observe(ms / 1_000);
    },
  });
  const all = (): readonly EndpointState[] => {
    const states = [...scraper.pools.keys()].flatMap((name) => scraper.look(name));
    return [...new Map(states.map((state) => [state.address, state])).values()];
  };
  const metrics = createLoadsMetrics(registry, {
    running: () => scraper.running,
    endpoints: () => {
      const states = all();
      const known = states.filter(({ load }) => load !== undefined).length;
      return { known, unknown: states.length - known };
    },
  });
  const fetch: handleUnaryCall<Buffer, Buffer> = ({ request }, callback) => {
    let pool: string;
    try {
      pool = decodeFetch(request);
    } catch {
      metrics.requests.inc({ result: "malformed" });
      callback({ code: status.INVALID_ARGUMENT, details: "not a FetchRequest" });
      return;
    }
    const endpoints = scraper.ask(pool);
    metrics.requests.inc({ result: endpoints === undefined ? "unknown_pool" : "ok" });
    if (endpoints === undefined) callback({ code: status.NOT_FOUND, details: "there is no such pool" });
    else callback(null, encodeLoads(endpoints));
  };
  return {
    definition: DEFINITION,
    implementation: { fetch },
    configure: (pools) => scraper.configure(pools),
    view: () =>
      Object.fromEntries([...scraper.pools.keys()].map((name) => [name, scraper.look(name).map(endpointView)])),
    close: () => {
      scraper.close();
      close();
    },
  };
}

function endpointView({ address, load, ageMs, fault }: EndpointState): object {
  return { address, known: load !== undefined, ageMs: ageMs ?? null, ...load, ...(fault && { fault }) };
}
