/** Envoy's shared data for the workers of one run: a value and a version under each key. What hostcalls of a worker read and write is its own memory. */

/** Status codes of the ABI. */
const OK = 0;
const NOT_FOUND = 1;
const CAS_MISMATCH = 8;

/** A worker's side of a hostcall. */
export interface Vm {
  readonly memory: { readonly buffer: ArrayBuffer };
  allocate(size: number): number;
}

interface Entry {
  readonly value: Uint8Array;
  readonly version: number;
}

export class SharedData {
  private readonly entries = new Map<string, Entry>();
  /** Over all keys, as Envoy counts. */
  private version = 0;

  /** The imports of a worker; `vm` is asked when a call is made. */
  hostcalls(vm: () => Vm): object {
    let bytes = new Uint8Array();
    // Memory that has grown is another buffer.
    const memory = (): Uint8Array => {
      const { buffer } = vm().memory;
      if (bytes.buffer !== buffer) bytes = new Uint8Array(buffer);
      return bytes;
    };
    return {
      proxy_get_shared_data: (key: number, keySize: number, at: number, size: number, cas: number): number => {
        const found = this.entries.get(textOf(memory(), key, keySize));
        if (found === undefined) return NOT_FOUND;
        const { value, version } = found;
        const place = vm().allocate(value.length);
        const into = memory();
        into.set(value, place);
        putWord(into, at, place);
        putWord(into, size, value.length);
        putWord(into, cas, version);
        return OK;
      },
      proxy_set_shared_data: (key: number, keySize: number, at: number, size: number, cas: number): number =>
        this.set(textOf(memory(), key, keySize), memory().slice(at, at + size), cas >>> 0),
    };
  }

  private set(key: string, value: Uint8Array, cas: number): number {
    const found = this.entries.get(key);
    if (cas !== 0 && found !== undefined && found.version !== cas) return CAS_MISMATCH;
    this.entries.set(key, { value, version: ++this.version });
    return OK;
  }
}

/** Little-endian. */
function putWord(bytes: Uint8Array, at: number, value: number): void {
  for (let i = 0; i < 4; i++) bytes[at + i] = value >>> (8 * i);
}

/** Keys are ASCII. */
function textOf(bytes: Uint8Array, at: number, size: number): string {
  let text = "";
  for (let i = at; i < at + size; i++) text += String.fromCharCode(bytes[i] as number);
  return text;
}
