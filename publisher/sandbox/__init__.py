"""An embedded registry on 127.0.0.1, to rehearse against."""
