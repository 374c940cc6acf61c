/**
 * What Envoys report of the load of their clusters, localities and endpoints: rates of the last interval and requests under way, over all Envoys that report.
 * An endpoint that leaves can go as soon as nobody has requests at it any more.
 *
 * A report says what happened since the one before. A place (a locality or an endpoint of a cluster) that it leaves out was not asked anything since then. Envoy
 * 1.40 names a place also when requests are only under way there; 1.36 does not (measured), so there a place that is left out may still work on what it had.
 * Which of the two an Envoy is, its reports tell: only the newer one ever names a place without a new request.
 */
import { type NodeIdentity, type NodeLocality, nodeIdentity } from "../cache/index.ts";
import { LOAD_REPORT_INTERVAL_MS, LOAD_REPORT_LIFE, MAX_LOAD_PLACES } from "./limits.ts";
import type { ClusterLoad, LoadCounts } from "./load-report-wire.ts";

export interface LoadReportsOptions {
  /** Milliseconds since the epoch. */
  readonly now?: () => number;
  /** How often Envoys are asked to report, ms. */
  readonly intervalMs?: number;
  readonly maxPlaces?: number;
}

/** Requests per second over the last interval, and requests under way at its end. */
export interface LoadRates {
  successfulPerSecond: number;
  errorsPerSecond: number;
  issuedPerSecond: number;
  inProgress: number;
}

export interface LoadView {
  readonly nodes: readonly { readonly id: string; readonly cluster: string; readonly reportedAt: string | null }[];
  readonly clusters: readonly ClusterLoadView[];
}

export interface ClusterLoadView extends LoadRates {
  readonly cluster: string;
  readonly droppedPerSecond: number;
  readonly localities: readonly LocalityLoadView[];
}

export interface LocalityLoadView extends LoadRates, NodeLocality {
  readonly priority: number;
  readonly endpoints: readonly (LoadRates & { readonly address: string; readonly port: number })[];
}

/** A locality (without address) or an endpoint of a cluster, as one Envoy sees it. */
interface Place extends LoadRates {
  readonly locality: NodeLocality;
  readonly priority: number;
  readonly address: string;
  readonly port: number;
  /** When it was last named in a report. */
  namedAt: number;
}

interface ReportedCluster {
  readonly places: Map<string, Place>;
  droppedPerSecond: number;
  at: number;
  lifeMs: number;
}

/** A place that has been idle for this long is forgotten: endpoints come and go. */
const IDLE_MEMORY_MS = 10 * 60_000;

/** One Envoy that reports, for as long as its stream is open. */
export class LoadReporter {
  readonly node: NodeIdentity;
  readonly clusters = new Map<string, ReportedCluster>();
  reportedAt: number | undefined;
  /** Whether what it leaves out is idle. */
  namesAllThatIsUnderWay = false;

  constructor(node: NodeIdentity = nodeIdentity("", "")) {
    this.node = node;
  }
}

export class LoadReports {
  readonly intervalMs: number;
  readonly #now: () => number;
  readonly #maxPlaces: number;
  readonly #reporters = new Set<LoadReporter>();
  /** Places by `address:port`, each with its cluster. */
  readonly #byEndpoint = new Map<string, Map<Place, ReportedCluster>>();
  #places = 0;
  #dropped = 0;

  constructor({ now = Date.now, intervalMs, maxPlaces }: LoadReportsOptions = {}) {
    this.#now = now;
    this.intervalMs = intervalMs ?? LOAD_REPORT_INTERVAL_MS;
    this.#maxPlaces = maxPlaces ?? MAX_LOAD_PLACES;
  }

  /** Envoys that report. */
  get reporters(): number {
    return this.#reporters.size;
  }

  /** Localities and endpoints that are kept, each per Envoy. */
  get places(): number {
    return this.#places;
  }

  /** How often a place was not kept because there are too many. */
  get dropped(): number {
    return this.#dropped;
  }

  open(node: NodeIdentity): LoadReporter {
    const reporter = new LoadReporter(node);
    this.#reporters.add(reporter);
    return reporter;
  }

  /** Nothing is known any more of what this Envoy has under way. */
  close(reporter: LoadReporter): void {
    this.#reporters.delete(reporter);
    for (const reported of reporter.clusters.values()) {
      for (const [key, place] of reported.places) this.#forget(reported, key, place);
    }
    reporter.clusters.clear();
  }

  /** Takes over a report. O(places of the clusters in it). */
  report(reporter: LoadReporter, clusters: readonly ClusterLoad[]): void {
    if (!this.#reporters.has(reporter)) return;
    const now = this.#now();
    reporter.reportedAt = now;
    for (const load of clusters) {
      const known = reporter.clusters.get(load.cluster);
      const reported = known ?? { places: new Map(), droppedPerSecond: 0, at: now, lifeMs: 0 };
      if (known === undefined) {
        if (this.#isFull()) continue;
        reporter.clusters.set(load.cluster, reported);
      }
      const interval = load.intervalMs > 0 ? load.intervalMs : this.intervalMs;
      reported.at = now;
      reported.lifeMs = LOAD_REPORT_LIFE * Math.max(interval, this.intervalMs);
      reported.droppedPerSecond = perSecond(load.dropped, interval);
      for (const { locality, priority, endpoints, ...counts } of load.localities) {
        if (counts.issued === 0 && counts.inProgress > 0) reporter.namesAllThatIsUnderWay = true;
        this.#take(reported, { locality, priority, address: "", port: 0 }, counts, interval, now);
        for (const { address, port, ...each } of endpoints) {
          this.#take(reported, { locality, priority, address, port }, each, interval, now);
        }
      }
      for (const [key, place] of reported.places) {
        if (place.namedAt === now) continue;
        if (now - place.namedAt > IDLE_MEMORY_MS) this.#forget(reported, key, place);
        else Object.assign(place, { ...IDLE, inProgress: reporter.namesAllThatIsUnderWay ? 0 : place.inProgress });
      }
    }
  }

  /**
   * Requests under way at an endpoint, over all Envoys that report it; undefined when no report that is still believed has ever named it: then nothing is
   * known. O(Envoys).
   */
  inProgress(address: string, port: number): number | undefined {
    const now = this.#now();
    let sum: number | undefined;
    for (const [place, { at, lifeMs }] of this.#byEndpoint.get(`${address}:${port}`) ?? []) {
      if (now - at <= lifeMs) sum = (sum ?? 0) + place.inProgress;
    }
    return sum;
  }

  /** For people: the sums over all Envoys whose reports are still believed. O(places). */
  view(): LoadView {
    const now = this.#now();
    const clusters = new Map<string, ClusterSums>();
    for (const reporter of this.#reporters) {
      for (const [name, reported] of reporter.clusters) {
        if (now - reported.at > reported.lifeMs) continue;
        const sums = clusters.get(name) ?? { droppedPerSecond: 0, places: new Map<string, Place>() };
        clusters.set(name, sums);
        sums.droppedPerSecond += reported.droppedPerSecond;
        for (const [key, place] of reported.places) {
          const sum = sums.places.get(key);
          if (sum === undefined) sums.places.set(key, { ...place });
          else add(sum, place);
        }
      }
    }
    return {
      nodes: [...this.#reporters].map(({ node, reportedAt }) => ({
        id: node.id,
        cluster: node.cluster,
        reportedAt: reportedAt === undefined ? null : new Date(reportedAt).toISOString(),
      })),
      clusters: [...clusters].map(([cluster, sums]) => clusterView(cluster, sums)),
    };
  }

  #take(
    reported: ReportedCluster,
    where: Pick<Place, "locality" | "priority" | "address" | "port">,
    { successful, errors, issued, inProgress }: LoadCounts,
    interval: number,
    now: number,
  ): void {
    const key = keyOf(where);
    let place = reported.places.get(key);
    if (place === undefined) {
      if (this.#isFull()) return;
      place = { ...where, ...IDLE, namedAt: now };
      reported.places.set(key, place);
      this.#places++;
      if (where.address !== "") {
        const at = `${where.address}:${where.port}`;
        this.#byEndpoint.set(at, (this.#byEndpoint.get(at) ?? new Map()).set(place, reported));
      }
    }
    place.namedAt = now;
    place.inProgress = inProgress;
    place.successfulPerSecond = perSecond(successful, interval);
    place.errorsPerSecond = perSecond(errors, interval);
    place.issuedPerSecond = perSecond(issued, interval);
  }

  #isFull(): boolean {
    if (this.#places < this.#maxPlaces) return false;
    this.#dropped++;
    return true;
  }

  #forget(reported: ReportedCluster, key: string, place: Place): void {
    reported.places.delete(key);
    this.#places--;
    const at = `${place.address}:${place.port}`;
    const places = this.#byEndpoint.get(at);
    places?.delete(place);
    if (places?.size === 0) this.#byEndpoint.delete(at);
  }
}

interface ClusterSums {
  droppedPerSecond: number;
  readonly places: Map<string, Place>;
}

const IDLE: LoadRates = { successfulPerSecond: 0, errorsPerSecond: 0, issuedPerSecond: 0, inProgress: 0 };

function keyOf({
  locality,
  priority,
  address,
  port,
}: Pick<Place, "locality" | "priority" | "address" | "port">): string {
  return [locality.region, locality.zone, locality.subZone, priority, address, port].join("\0");
}

const perSecond = (count: number, intervalMs: number): number => (count * 1_000) / intervalMs;

function add(sum: LoadRates, more: LoadRates): void {
  sum.successfulPerSecond += more.successfulPerSecond;
  sum.errorsPerSecond += more.errorsPerSecond;
  sum.issuedPerSecond += more.issuedPerSecond;
  sum.inProgress += more.inProgress;
}

function clusterView(cluster: string, { droppedPerSecond, places }: ClusterSums): ClusterLoadView {
  const all = [...places.values()];
  const localities = all.filter(({ address }) => address === "");
  const total: LoadRates = { ...IDLE };
  for (const place of localities) add(total, place);
  return {
    cluster,
    ...total,
    droppedPerSecond,
    localities: localities.map((place) => ({
      ...place.locality,
      priority: place.priority,
      ...ratesOf(place),
      endpoints: all
        .filter((each) => each.address !== "" && sameLocality(each, place))
        .map((each) => ({ address: each.address, port: each.port, ...ratesOf(each) })),
    })),
  };
}

function sameLocality(a: Place, b: Place): boolean {
  return (
    a.priority === b.priority &&
    a.locality.region === b.locality.region &&
    a.locality.zone === b.locality.zone &&
    a.locality.subZone === b.locality.subZone
  );
}

function ratesOf({ successfulPerSecond, errorsPerSecond, issuedPerSecond, inProgress }: LoadRates): LoadRates {
  return { successfulPerSecond, errorsPerSecond, issuedPerSecond, inProgress };
}
