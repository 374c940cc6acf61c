/**
 * Context tables: from the ids in the host's callbacks to the objects of the filter.
 *
 * A callback for an id that is unknown or of another kind gets the neutral answer: hostile or surprising hosts must not
 * be able to trap the VM, because a trap ends every stream of the worker.
 */
import { LogLevel, Status } from "./abi";
import { Bytes } from "./bytes";
import { Context, ContextKind, HttpContext, RootContext, StreamContext, TcpContext } from "./context";
import { log } from "./hostcalls/log";
import { property } from "./hostcalls/property";
import { IdTable } from "./id-table";
import { CONTEXT_POOL } from "./limits";

@final
class RootFactory {
  constructor(
    readonly rootId: string,
    readonly create: () => RootContext,
  ) {}
}

const factories: RootFactory[] = [];
const contexts = new IdTable<Context>();
const rootIdPath = Bytes.literal("plugin_root_id");
const rootIdValue = new Bytes();

/**
 * Says which RootContext serves the plugins whose `root_id` is `rootId`. Call at module level, once per root id. A plugin
 * with an empty root id gets the first one; any other unknown root id is refused in `proxy_on_configure`.
 */
export function registerRoot(rootId: string, create: () => RootContext): void {
  factories.push(new RootFactory(rootId, create));
}

export namespace dispatcher {
  export function create(id: u32, parentId: u32): void {
    if (parentId == 0) {
      createRoot(id);
      return;
    }
    const parent = root(parentId);
    if (parent === null) return;
    const stream = parent.pool.length > 0 ? parent.pool.pop() : parent.createStream();
    stream.id = id;
    contexts.set(id, stream);
    stream.onCreate();
  }

  export function remove(id: u32): void {
    const context = contexts.get(id);
    if (context === null) return;
    context.onDelete();
    contexts.delete(id);
    context.id = 0;
    if (context.kind == ContextKind.Root) {
      const pool = changetype<RootContext>(context).pool;
      while (pool.length > 0) pool.pop().release();
      return;
    }
    const stream = changetype<StreamContext>(context);
    if (stream.parent.pool.length < CONTEXT_POOL) stream.parent.pool.push(stream);
    else stream.release();
  }

  @inline
  export function any(id: u32): Context | null {
    return contexts.get(id);
  }

  export function root(id: u32): RootContext | null {
    const context = contexts.get(id);
    return context !== null && context.kind == ContextKind.Root ? changetype<RootContext>(context) : null;
  }

  export function stream(id: u32): StreamContext | null {
    const context = contexts.get(id);
    return context !== null && context.kind != ContextKind.Root ? changetype<StreamContext>(context) : null;
  }

  @inline
  export function http(id: u32): HttpContext | null {
    const context = contexts.get(id);
    return context !== null && context.kind == ContextKind.Http ? changetype<HttpContext>(context) : null;
  }

  export function tcp(id: u32): TcpContext | null {
    const context = contexts.get(id);
    return context !== null && context.kind == ContextKind.Tcp ? changetype<TcpContext>(context) : null;
  }
}

function createRoot(id: u32): void {
  const rootId = property.get(rootIdPath, rootIdValue) == Status.Ok ? rootIdValue.toString() : "";
  for (let i = 0; i < factories.length; i++) {
    if (rootId.length == 0 || factories[i].rootId == rootId) {
      const context = factories[i].create();
      context.id = id;
      contexts.set(id, context);
      return;
    }
  }
  log.text(LogLevel.Error, "no filter of this module has root_id '" + rootId + "': correct root_id in the plugin configuration");
}
