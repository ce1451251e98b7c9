import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

const LISTENING = '0A';

/**
 * Whether this very process listens on the port. A server that answers there proves nothing: with two clones starting
 * at once it may be the other clone's, and a mail catcher or an API would be taken for ours.
 */
export function listensOn(pid: number, port: number): boolean {
  return process.platform === 'linux' ? listensOnLinux(pid, port) : listensOnMac(pid, port);
}

function listensOnLinux(pid: number, port: number): boolean {
  const inodes = new Set(['/proc/net/tcp', '/proc/net/tcp6'].flatMap((file) => listenersIn(file, port)));
  if (inodes.size === 0) return false;
  try {
    const folder = `/proc/${pid}/fd`;
    return readdirSync(folder).some((fd) => inodes.has(linkOf(`${folder}/${fd}`)));
  } catch {
    // It has just ended.
    return false;
  }
}

/** Socket links (`socket:[inode]`) of who listens on the port, from the kernel's table. */
function listenersIn(file: string, port: number): string[] {
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  return readIfThere(file)
    .split('\n')
    .slice(1)
    .map((line) => line.trim().split(/\s+/))
    .filter(([, local, , state]) => state === LISTENING && local?.endsWith(suffix))
    .map((fields) => `socket:[${fields[9]}]`);
}

function readIfThere(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    // A machine without IPv6 has no second table.
    return '';
  }
}

/** A descriptor may be closed between listing and reading it. */
function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}

function listensOnMac(pid: number, port: number): boolean {
  try {
    const owners = execFileSync('lsof', ['-nP', `-iTCP:${port}`, '-sTCP:LISTEN', '-t'], { encoding: 'utf8' });
    return owners.split('\n').includes(String(pid));
  } catch {
    // lsof ends with 1 when nobody listens.
    return false;
  }
}
