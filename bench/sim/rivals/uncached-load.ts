/** A router's own account of the prompt tokens that its endpoints still have to compute: added when a request leaves, taken off at its first token. */
import type { Request } from "../request.ts";

export class UncachedLoad {
  private readonly tokens: Float64Array;
  private readonly byRequest = new Map<number, number>();

  constructor(endpoints: number) {
    this.tokens = new Float64Array(endpoints);
  }

  of(slot: number): number {
    return this.tokens[slot] ?? 0;
  }

  add(request: Request, slot: number, tokens: number): void {
    this.byRequest.set(request.id, tokens);
    this.tokens[slot] = this.of(slot) + tokens;
  }

  remove(request: Request, slot: number): void {
    this.tokens[slot] = this.of(slot) - (this.byRequest.get(request.id) ?? 0);
    this.byRequest.delete(request.id);
  }

  /** An empty engine has come: what its predecessor owes is not its own. */
  clear(slot: number): void {
    this.tokens[slot] = 0;
  }
}
