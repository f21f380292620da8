"""Training in a child process: data order, objective, optimizers, schedule, stop rules, checkpoints and the loop."""
