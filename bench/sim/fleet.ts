/** The replicas as a router sees them: which are there, its own exact counts, and what the engines report, exact or as of the last scrape. */
import { ReplicaModel } from "../../envoy/replica/model.ts";
import type { ReplicaTiming } from "../../envoy/replica/timing.ts";
import type { EventQueue } from "./event-queue.ts";
import { type Engine, PagedReplica } from "./paged-replica.ts";
import type { Request } from "./request.ts";

/** `paged` judges policies; `reserving` is the model that envoy/replica serves in real time, for comparison with a run on Envoy. */
export type EngineKind = "paged" | "reserving";

export interface EngineReport {
  readonly waiting: number;
  readonly running: number;
  readonly kvUsage: number;
}

export class Fleet {
  /** By slot: requests sent and not over. */
  readonly inflight: Int32Array;
  /** Sum over live slots. */
  totalInflight = 0;
  /** Slots of live replicas, ascending. */
  live: number[];
  private engines: Engine[];
  private scraped: EngineReport[] | undefined;

  constructor(
    readonly size: number,
    readonly timing: ReplicaTiming,
    private readonly kind: EngineKind = "paged",
  ) {
    this.inflight = new Int32Array(size);
    this.live = Array.from({ length: size }, (_, slot) => slot);
    this.engines = this.live.map(() => this.newEngine());
  }

  engine(slot: number): Engine {
    return this.engines[slot] as Engine;
  }

  /** What the engine says about itself: now, or at the last scrape when there are scrapes. */
  report(slot: number): EngineReport {
    return this.scraped?.[slot] ?? this.engine(slot);
  }

  /** Cached leading blocks of the prompt, as an index fed by the engine's events would know; 0 for an engine without events. */
  cachedBlocks(slot: number, request: Request): number {
    const engine = this.engine(slot);
    if (!(engine instanceof PagedReplica)) return 0;
    return Math.min(engine.matchedBlocks(request.blocks, request.promptTokens), request.promptBlocks);
  }

  /** From now on `report` is as old as the last scrape. */
  scrapeEvery(period: number, queue: EventQueue): void {
    const scrape = (): void => {
      this.scraped = this.engines.map(({ waiting, running, kvUsage }) => ({ waiting, running, kvUsage }));
    };
    scrape();
    queue.every(period, period, scrape);
  }

  leave(slot: number): void {
    this.live = this.live.filter((other) => other !== slot);
    this.totalInflight -= this.inflight[slot] ?? 0;
  }

  /** Comes back empty; what it had is forgotten. */
  join(slot: number): void {
    this.engines[slot] = this.newEngine();
    this.inflight[slot] = 0;
    this.live = [...this.live, slot].sort((a, b) => a - b);
  }

  count(slot: number, change: 1 | -1): void {
    this.inflight[slot] = (this.inflight[slot] ?? 0) + change;
    if (this.live.includes(slot)) this.totalInflight += change;
  }

  private newEngine(): Engine {
    return this.kind === "paged" ? new PagedReplica(this.timing) : new ReservingReplica(this.timing);
  }
}

/** `ReplicaModel` takes the blocks of the prompt only. */
class ReservingReplica extends ReplicaModel implements Engine {
  override submit(spec: Parameters<ReplicaModel["submit"]>[0]): void {
    const blocks = spec.blocks.slice(0, Math.floor(spec.promptTokens / this.timing.blockTokens));
    super.submit({ ...spec, blocks });
  }
}
