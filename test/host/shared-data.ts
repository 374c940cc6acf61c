/**
 * Shared data of one Envoy process: one table per vm_id, seen by every thread. There is no deletion, no expiry and no
 * limit; a CAS number of 0 writes unconditionally, and a missing key accepts any number.
 */
import { Status } from "./abi.ts";

interface Entry {
  value: Uint8Array;
  cas: number;
}

export interface SharedDataAccess {
  operation: "get" | "set";
  vmId: string;
  key: string;
  /** 0 is the main thread, workers count from 1. */
  thread: number;
}

export class SharedData {
  readonly #tables = new Map<string, Map<string, Entry>>();
  #lastCas = 0;
  #busy = false;
  /**
   * Called before each access. A test drives another worker from here to put its access between the get and the set of
   * the first one. Accesses made inside the hook do not call it again.
   */
  interleave: ((access: SharedDataAccess) => void) | undefined;

  #pause(access: SharedDataAccess): void {
    if (!this.interleave || this.#busy) return;
    this.#busy = true;
    try {
      this.interleave(access);
    } finally {
      this.#busy = false;
    }
  }

  get(vmId: string, key: string, thread = 0): Entry | undefined {
    this.#pause({ operation: "get", vmId, key, thread });
    return this.#tables.get(vmId)?.get(key);
  }

  set(vmId: string, key: string, value: Uint8Array, cas: number, thread = 0): Status {
    this.#pause({ operation: "set", vmId, key, thread });
    const table = this.#tables.get(vmId) ?? new Map<string, Entry>();
    this.#tables.set(vmId, table);
    const entry = table.get(key);
    if (entry && cas !== 0 && cas !== entry.cas) return Status.CasMismatch;
    this.#lastCas = (this.#lastCas + 1) >>> 0 || 1;
    table.set(key, { value: value.slice(), cas: this.#lastCas });
    return Status.Ok;
  }

  keys(vmId = ""): string[] {
    return [...(this.#tables.get(vmId)?.keys() ?? [])];
  }

  /** Bytes of all keys and values of a vm_id: nothing ever removes them, so a filter must keep this bounded. */
  bytes(vmId = ""): number {
    let sum = 0;
    for (const [key, { value }] of this.#tables.get(vmId) ?? []) sum += key.length + value.length;
    return sum;
  }
}
