import { IdTable } from "./id-table";

/** Which context waits for which callout: the host delivers every answer on the root context. */
@final
class Waiting {
  constructor(public contextId: u32) {}
}

const http = new IdTable<Waiting>();
const grpcCalls = new IdTable<Waiting>();

export namespace callouts {
  export function expectHttp(callId: u32, contextId: u32): void {
    http.set(callId, new Waiting(contextId));
  }

  /** Context that waits for this call, and forgets it; 0 when nobody does. */
  export function takeHttp(callId: u32): u32 {
    const waiting = http.get(callId);
    if (waiting === null) return 0;
    http.delete(callId);
    return waiting.contextId;
  }

  export function expectGrpc(callId: u32, contextId: u32): void {
    grpcCalls.set(callId, new Waiting(contextId));
  }

  export function findGrpc(callId: u32): u32 {
    const waiting = grpcCalls.get(callId);
    return waiting === null ? 0 : waiting.contextId;
  }

  export function forgetGrpc(callId: u32): void {
    grpcCalls.delete(callId);
  }
}
