import pg from 'pg';

/**
 * A connection whose server has to prove who it is wherever its address does not say otherwise in words:
 * NODE_TLS_REJECT_UNAUTHORIZED=0, set for something else, would trust whoever answers.
 */
export class ProvingClient extends pg.Client {
  constructor(config?: pg.ClientConfig) {
    super(config);
    // What the driver made of the address; it hands this very object to the socket.
    const { ssl } = this as unknown as { ssl: { rejectUnauthorized?: boolean } | boolean };
    if (typeof ssl === 'object') ssl.rejectUnauthorized ??= true;
  }
}
