/** The message Loads of tokenmesh.loads.v1, written field by field: what a feed answers. */

export interface EndpointLoad {
  address: string;
  ageMs?: number;
  waiting?: number;
  running?: number;
  kvPermille?: number;
  blockTokens?: number;
  blocks?: number;
  active?: readonly string[];
  queued?: readonly string[];
  maxAdapters?: number;
  unknown?: boolean;
}

export function encodeLoads(loads: readonly EndpointLoad[]): Uint8Array {
  return Buffer.concat(loads.map((load) => bytes(1, encodeLoad(load))));
}

function encodeLoad(load: EndpointLoad): Buffer {
  return Buffer.concat([
    bytes(1, Buffer.from(load.address)),
    number(2, load.ageMs),
    number(3, load.waiting),
    number(4, load.running),
    number(5, load.kvPermille),
    number(6, load.blockTokens),
    number(7, load.blocks),
    ...(load.active ?? []).map((name) => bytes(8, Buffer.from(name))),
    ...(load.queued ?? []).map((name) => bytes(9, Buffer.from(name))),
    number(10, load.maxAdapters),
    number(11, load.unknown ? 1 : undefined),
  ]);
}

function varint(value: number): number[] {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...varint(Math.floor(value / 128))];
}

const number = (field: number, value?: number): Buffer =>
  Buffer.from(value === undefined ? [] : [field << 3, ...varint(value)]);

const bytes = (field: number, value: Buffer): Buffer =>
  Buffer.concat([Buffer.from([(field << 3) | 2, ...varint(value.length)]), value]);
