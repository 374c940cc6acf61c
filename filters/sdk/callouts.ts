import { IdTable } from "./id-table";

/** Which context waits for which callout: the host delivers every answer on the root context. */
@final
class Waiting {
  contextId: u32 = 0;
  /** One answer is all that comes. */
  unary: bool = false;
}

/** Entries that nobody needs any more. */
const spare: Waiting[] = [];
/** More than this stay for the collector. */
const MOST_SPARE: i32 = 1024;

const http = new IdTable<Waiting>();
const grpcCalls = new IdTable<Waiting>();

function waitingFor(contextId: u32, unary: bool): Waiting {
  const waiting = spare.length > 0 ? spare.pop() : new Waiting();
  waiting.contextId = contextId;
  waiting.unary = unary;
  return waiting;
}

function forget(table: IdTable<Waiting>, callId: u32): u32 {
  const waiting = table.get(callId);
  if (waiting === null) return 0;
  table.delete(callId);
  if (spare.length < MOST_SPARE) spare.push(waiting);
  return waiting.contextId;
}

export namespace callouts {
  export function expectHttp(callId: u32, contextId: u32): void {
    http.set(callId, waitingFor(contextId, true));
  }

  /** Context that waits for this call, and forgets it; 0 when nobody does. */
  export function takeHttp(callId: u32): u32 {
    return forget(http, callId);
  }

  /** `unary`: a call, not a stream. */
  export function expectGrpc(callId: u32, contextId: u32, unary: bool): void {
    grpcCalls.set(callId, waitingFor(contextId, unary));
  }

  export function findGrpc(callId: u32): u32 {
    const waiting = grpcCalls.get(callId);
    return waiting === null ? 0 : waiting.contextId;
  }

  /** A message came: `findGrpc`, and behind the only one of a call nothing follows, so it is forgotten. */
  export function takeMessage(callId: u32): u32 {
    const waiting = grpcCalls.get(callId);
    if (waiting === null) return 0;
    return waiting.unary ? forget(grpcCalls, callId) : waiting.contextId;
  }

  export function takeGrpc(callId: u32): u32 {
    return forget(grpcCalls, callId);
  }
}
