/** The types of what bootstrap, plain JavaScript, shares with the TypeScript beside it. */
declare module '*/bootstrap/claim.mjs' {
  import type { Socket } from 'node:net';

  export type Claim = { release: () => void; holder?: never } | { holder: Socket; release?: never };
  export function claimSocket(path: string, onConnection?: (socket: Socket) => void): Promise<Claim>;
  export function connectTo(path: string): Promise<Socket | undefined>;
}

declare module '*/bootstrap/installed.mjs' {
  interface PackageRecord {
    version?: string;
    integrity?: string;
    optional?: boolean;
    devOptional?: boolean;
  }
  interface LockFile {
    packages: Record<string, PackageRecord>;
  }
  export function missingPackages(lock: LockFile, record: LockFile): string[];
}

declare module '*/bootstrap/progress.mjs' {
  export function describeInstall(state: {
    wanted: number;
    unpacked: number;
    writtenBytes: number;
    hasNode: boolean;
  }): string;
}
