/**
 * The loads feed: filters ask this server what the engines behind their endpoints have to do, so that engines are scraped once for all Envoys. A gRPC service beside ADS
 * on the same port.
 */
import type { Registry } from "prom-client";
import { CallError, Status, type UnaryMethod } from "../../grpc/index.ts";
import { createLoadsMetrics } from "./metrics.ts";
import { decodeFetch, encodeLoads, FETCH_PATH } from "./protocol.ts";
import { httpScrape } from "./scrape.ts";
import { type EndpointState, type LoadsPool, LoadsScraper } from "./scraper.ts";

export interface LoadsFeed {
  /** gRPC methods by path. */
  readonly methods: ReadonlyMap<string, UnaryMethod>;
  /** By name; what is known of endpoints that stay is kept. */
  configure(pools: ReadonlyMap<string, LoadsPool>): void;
  /** For people: by pool. */
  view(): Readonly<Record<string, readonly object[]>>;
  close(): void;
}

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
  const fetch: UnaryMethod = (message) => {
    let pool: string;
    try {
      pool = decodeFetch(message);
    } catch {
      metrics.requests.inc({ result: "malformed" });
      throw new CallError(Status.invalidArgument, "not a FetchRequest");
    }
    const endpoints = scraper.ask(pool);
    metrics.requests.inc({ result: endpoints === undefined ? "unknown_pool" : "ok" });
    if (endpoints === undefined) throw new CallError(Status.notFound, "there is no such pool");
    return encodeLoads(endpoints);
  };
  return {
    methods: new Map([[FETCH_PATH, fetch]]),
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
