/**
 * Leaves only the endpoints that suit the adapter best: it is loaded, or can be at once, or is waited for, or else any. Those over the bound of in-flight requests
 * do not count, so a popular adapter is loaded on more engines, and not all its requests wait at the first.
 *
 * Requests name an adapter and a base model alike. A name that no engine has or waits for may be no adapter at all: then nothing is left out, or base models
 * would be kept off every engine whose room for adapters is taken.
 */
import { Candidates } from "./candidates";
import { EndpointMask } from "./endpoint-mask";
import { AdapterFit, EngineLoads } from "./engine-loads";
import { InflightBound } from "./inflight-bound";
import { PoolSettings } from "./pool-settings";

@final
export class LoraAffinity {
  private readonly bound: InflightBound;
  private readonly room: EndpointMask = new EndpointMask();
  private readonly tier: EndpointMask = new EndpointMask();

  constructor(settings: PoolSettings) {
    this.bound = new InflightBound(settings.bound, settings.leastInflight);
  }

  /** `eligible` has somebody, and still has afterwards. O(candidates x adapters). */
  restrict(adapter: u64, engines: EngineLoads, now: i64, eligible: Candidates): void {
    if (!isAdapter(adapter, engines, now, eligible) || !this.bound.room(eligible, this.room)) return;
    const tier = this.tier;
    tier.clear();
    for (let fit = <i32>AdapterFit.Active; fit >= <i32>AdapterFit.None && tier.isEmpty; fit--) {
      for (let slot = this.room.next(0); slot >= 0; slot = this.room.next(slot + 1)) {
        if (<i32>engines.fit(slot, adapter, now) == fit) tier.add(slot);
      }
    }
    eligible.mask.copy(tier);
    eligible.sum();
  }
}

function isAdapter(name: u64, engines: EngineLoads, now: i64, eligible: Candidates): bool {
  for (let slot = eligible.mask.next(0); slot >= 0; slot = eligible.mask.next(slot + 1)) {
    if (engines.names(slot, name, now)) return true;
  }
  return false;
}
