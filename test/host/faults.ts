/** Faults on demand: wrong answers of any hostcall, traps at the n-th call, allocation failures, memory growth. */
import type { Status } from "./abi.ts";

export interface HostcallFault {
  /** Name of the hostcall, for example "proxy_get_property". */
  call: string;
  /** Answer this status and do nothing. */
  status?: Status;
  /** Or trap the module, as a fault in its own code would. */
  trap?: boolean;
  /** The n-th matching call from now on is the first to fail; default 1. */
  nth?: number;
  /** How many calls fail; default 1, Infinity for all. */
  times?: number;
  when?: (args: readonly (number | bigint)[]) => boolean;
}

interface Armed extends HostcallFault {
  seen: number;
}

export class Faults {
  #armed: Armed[] = [];
  /** The n-th next allocation in any VM answers 0; 0 = none. */
  failAllocation = 0;
  /** Pages by which the memory of the VM grows inside each allocation, which detaches every view the host holds. */
  growOnAllocate = 0;

  inject(fault: HostcallFault): () => void {
    const armed = { ...fault, seen: 0 };
    this.#armed.push(armed);
    return () => {
      this.#armed = this.#armed.filter((other) => other !== armed);
    };
  }

  clear(): void {
    this.#armed = [];
    this.failAllocation = 0;
    this.growOnAllocate = 0;
  }

  hit(call: string, args: readonly (number | bigint)[]): HostcallFault | undefined {
    for (const fault of this.#armed) {
      if (fault.call !== call || fault.when?.(args) === false) continue;
      fault.seen++;
      const first = fault.nth ?? 1;
      if (fault.seen >= first && fault.seen < first + (fault.times ?? 1)) return fault;
    }
    return undefined;
  }

  /** True when this allocation must answer 0. */
  refuseAllocation(): boolean {
    if (this.failAllocation === 0) return false;
    this.failAllocation--;
    return this.failAllocation === 0;
  }
}
