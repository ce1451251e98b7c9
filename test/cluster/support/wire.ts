import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import type { Access } from '../../../services/reconciler/kubernetes/access.ts';

/** A wire between a reconciler and the API server, which can be cut. */
export type Wire = {
  access: Access;
  /** From now on nobody answers. `silent`: connections hang instead of ending. */
  cut: (how?: 'ends' | 'silent') => void;
  mend: () => void;
  close: () => Promise<void>;
};

export async function wireTo(access: Access): Promise<Wire> {
  const sockets = new Set<Socket>();
  let state: 'whole' | 'ends' | 'silent' = 'whole';
  const server = createServer((near) => {
    const far = connect(Number(access.server.port || 443), access.server.hostname);
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on('error', () => undefined).once('close', () => sockets.delete(socket));
    }
    if (state === 'ends') near.destroy();
    near.on('data', (bytes) => state === 'whole' && far.write(bytes));
    far.on('data', (bytes) => state === 'whole' && near.write(bytes));
    near.once('close', () => far.destroy());
    far.once('close', () => near.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const endAll = () => {
    for (const socket of sockets) socket.destroy();
  };
  return {
    access: {
      ...access,
      server: new URL(`https://127.0.0.1:${port}`),
      // The certificate names the API server's own address; whose it is, is still checked.
      credentials: async () => ({ ...(await access.credentials()), checkServerIdentity: () => undefined }),
    },
    cut: (how = 'ends') => {
      state = how;
      if (how === 'ends') endAll();
    },
    mend: () => {
      state = 'whole';
      endAll();
    },
    close: async () => {
      endAll();
      server.close();
      await once(server, 'close');
    },
  };
}
