"""Train heads for every setting and seed, one seed after the other, all at once or over Ray."""
