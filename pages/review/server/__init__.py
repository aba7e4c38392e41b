"""The review page over HTTP, on this machine: who may ask, what is asked, what is answered."""
