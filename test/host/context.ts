/** What hostcalls need of a context: the VM context (id 0), a plugin's root context, or a stream's context. */
import { MapType } from "./abi.ts";
import { ByteBuffer } from "./buffers.ts";
import type { HeaderMap } from "./header-map.ts";
import { Trace } from "./trace.ts";
import type { Vm } from "./vm.ts";

export interface PluginIdentity {
  name: string;
  rootId: string;
  vmId: string;
  configuration: Uint8Array;
}

/** A received HTTP or gRPC answer while it is being delivered to the module. */
export interface Delivery {
  headers?: HeaderMap | undefined;
  trailers?: HeaderMap | undefined;
  body?: ByteBuffer | undefined;
}

/** Maps of a received answer; they are readable from the root and from its streams. */
export function deliveredMap(root: RootContext, type: number): HeaderMap | undefined {
  switch (type) {
    case MapType.GrpcInitialMetadata:
      return root.grpc?.headers;
    case MapType.GrpcTrailingMetadata:
      return root.grpc?.trailers;
    case MapType.HttpCallResponseHeaders:
      return root.httpResponse?.headers;
    case MapType.HttpCallResponseTrailers:
      return root.httpResponse?.trailers;
    default:
      return undefined;
  }
}

export interface LocalReply {
  status: number;
  headers: readonly (readonly [string, string])[];
  body: Uint8Array;
  details: string;
  grpcStatus: number | undefined;
}

export interface BufferView {
  buffer: ByteBuffer;
  writable: boolean;
}

export abstract class Context {
  readonly id: number;
  readonly vm: Vm;
  readonly trace = new Trace();
  /** True once proxy_on_context_create ran for it. */
  created = false;
  lastBuffer: BufferView = { buffer: new ByteBuffer(), writable: false };

  constructor(vm: Vm, id: number) {
    this.vm = vm;
    this.id = id;
    vm.contexts.set(id, this);
  }

  abstract get root(): RootContext;

  /** `forWriting` maps may be absent where readable ones exist, for example in proxy_on_log. */
  headerMap(_type: number, _forWriting: boolean): HeaderMap | undefined {
    return undefined;
  }
  /** Absent maps are NOT_FOUND instead of BAD_ARGUMENT in the access log phase. */
  get logging(): boolean {
    return false;
  }
  headersModified(_type: number): void {}
  body(_type: number): ByteBuffer | undefined {
    return undefined;
  }
  property(_path: readonly string[]): Uint8Array | undefined {
    return undefined;
  }
  /** False when there is no stream to keep the value. */
  setProperty(_path: string, _value: Uint8Array): boolean {
    return false;
  }
  resume(_type: number): void {}
  close(_type: number): void {}
  reply(_reply: LocalReply): void {}
}

/** Root context of one plugin version in one VM, or the VM context when there is no plugin. */
export class RootContext extends Context {
  readonly plugin: PluginIdentity | undefined;
  /** Set while proxy_on_configure (and the first on_context_create) runs: only then is the configuration readable. */
  configuring = false;
  httpResponse: Delivery | undefined;
  grpc: Delivery | undefined;
  status: { code: number; message: string } = { code: 0, message: "" };
  cancelTick: (() => void) | undefined;
  tickPeriodMs = 0;

  constructor(vm: Vm, id: number, plugin: PluginIdentity | undefined) {
    super(vm, id);
    this.plugin = plugin;
  }

  get root(): RootContext {
    return this;
  }

  override headerMap(type: number, forWriting: boolean): HeaderMap | undefined {
    return forWriting ? undefined : deliveredMap(this, type);
  }

  override property(path: readonly string[]): Uint8Array | undefined {
    return this.vm.environment.rootProperty(this, path);
  }
}
