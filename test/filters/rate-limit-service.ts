/** Rate Limit Services for the limiter on the test host: tokenmesh's own ledger with its budgets in memory, and one that only counts, as envoyproxy/ratelimit does. */
import { Patterns } from "../../xds-server/state/ledger/budgets.ts";
import { parseLedgerConfig } from "../../xds-server/state/ledger/config.ts";
import { Ledger } from "../../xds-server/state/ledger/ledger.ts";
import { MemoryStore } from "../../xds-server/state/ledger/memory-store.ts";
import {
  Code,
  decodeRequest,
  encodeResponse,
  type RateLimitRequest,
  type RateLimitResponse,
  UNIT,
} from "../../xds-server/state/ledger/protocol.ts";
import type { GrpcCall } from "../host/callouts.ts";
import type { ProxyWasmHost } from "../host/index.ts";

export interface Service {
  answer(request: RateLimitRequest, now: number): RateLimitResponse | Promise<RateLimitResponse>;
}

/** `used` of each budget and its window, by entries. */
export class CountingService implements Service {
  readonly used = new Map<string, number>();

  answer({ descriptors }: RateLimitRequest, now: number): RateLimitResponse {
    const statuses = descriptors.map(({ entries, limit, hits = 1, negative }) => {
      if (!limit) return { code: Code.ok };
      const length = [0, 1, 60, 3_600, 86_400][limit.unit] ?? 2_592_000;
      const seconds = Math.floor(now / 1_000);
      const window = seconds - (seconds % length);
      const key = `${entries.map(({ key, value }) => `${key}=${value}`).join(" ")} ${window}`;
      const used = (this.used.get(key) ?? 0) + (negative ? -hits : hits);
      this.used.set(key, used);
      const over = used > limit.requestsPerUnit;
      return {
        code: over ? Code.overLimit : Code.ok,
        limit: { name: "", requestsPerUnit: limit.requestsPerUnit, unit: limit.unit },
        remaining: Math.max(0, limit.requestsPerUnit - used),
        resetMs: (window + length) * 1_000 - now,
      };
    });
    const code = statuses.some((status) => status.code === Code.overLimit) ? Code.overLimit : Code.ok;
    return { code, statuses };
  }
}

/** Every descriptor is held to the limit that it brings. */
export class LedgerService implements Service {
  replays = 0;
  readonly #ledger: Ledger;

  constructor() {
    const parsed = parseLedgerConfig("ledger.yaml", "domains: [{name: tokenmesh, override: true}]");
    if (!parsed.ok) throw new Error(JSON.stringify(parsed.errors));
    this.#ledger = new Ledger(new Patterns(parsed.config), new MemoryStore(), {
      unmatched: () => {},
      charged: () => {},
      replayed: () => void this.replays++,
    });
  }

  answer(request: RateLimitRequest, now: number): Promise<RateLimitResponse> {
    return this.#ledger.shouldRateLimit(request, now);
  }

  /** Units used of a budget of 10^9 a minute: the amount is the caller's, the meter is the same for all. */
  async used(entries: Readonly<Record<string, string>>, now: number, unit: number = UNIT.minute): Promise<number> {
    const amount = 1_000_000_000;
    const descriptor = {
      entries: Object.entries(entries).map(([key, value]) => ({ key, value })),
      limit: { requestsPerUnit: amount, unit, unitMultiplier: 1 },
      ...{ hits: 0, negative: false },
    };
    const { statuses } = await this.#ledger.shouldRateLimit(
      { domain: "tokenmesh", descriptors: [descriptor], hits: 0 },
      now,
    );
    return amount - (statuses[0]?.remaining ?? 0);
  }
}

/** Units of the descriptors that reserve, if they were admitted. */
function reservedBy({ descriptors }: RateLimitRequest, { code }: RateLimitResponse): number {
  if (code !== Code.ok) return 0;
  const reserving = descriptors.filter(({ entries }) => entries.every(({ key }) => key !== "tokenmesh.settle"));
  return reserving.reduce((sum, { hits = 1 }) => sum + hits, 0);
}

export type Mood = "answer" | "fail" | "hold" | "nonsense" | "lose";

/** A service behind an Envoy cluster of the test host. Calls are kept until `settle`, as a network would. */
export class ServiceDriver {
  mood: Mood = "answer";
  /** Units that the service has reserved in answers that were lost. */
  lost = 0;
  readonly requests: RateLimitRequest[] = [];
  readonly #pending: { call: GrpcCall; request: RateLimitRequest }[] = [];

  constructor(
    private readonly host: ProxyWasmHost,
    readonly service: Service,
    cluster = "ledger",
  ) {
    host.callouts.onGrpcCall(cluster, (call) => {
      const request = decodeRequest(call.sent[0] ?? new Uint8Array());
      this.requests.push(request);
      if (this.mood === "fail") return { status: 14, message: "down" };
      if (this.mood === "nonsense") return { messages: [new Uint8Array([0x0a, 0xff])] };
      this.#pending.push({ call, request });
      return "hold";
    });
  }

  get waiting(): number {
    return this.#pending.length;
  }

  /** Everything that was asked is answered, and what is asked because of that. */
  async settle(): Promise<void> {
    for (let next = this.#pending.shift(); next; next = this.#pending.shift()) {
      const response = await this.service.answer(next.request, Number(this.host.clock.realtimeNs / 1_000_000n));
      // Envoy has given up some of them.
      if (this.mood === "lose" || next.call.done) {
        this.lost += reservedBy(next.request, response);
        if (!next.call.done) next.call.close(4, "lost");
      } else next.call.respond({ messages: [encodeResponse(response)] });
    }
  }
}
