/** Consumers first, so that nothing new is begun; the servers that they all use last. */
export const STOP_ORDER = ['consumer', 'api', 'mail', 'sqs', 'postgres'] as const;
